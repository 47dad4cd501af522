#include "bench/load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace hearth::bench {
namespace {

constexpr std::uint64_t sub_buckets = std::uint64_t{1} << histogram::sub_bucket_bits;

}  // namespace

// Values below 2 * sub_buckets have a bucket each. From there on a power of two 2^(7+n) is split
// into 128 buckets that are 2^n wide.
std::size_t histogram::bucket_of(std::uint64_t value) noexcept {
    const auto bits = static_cast<unsigned>(std::bit_width(value));
    const unsigned shift = bits > sub_bucket_bits + 1 ? bits - (sub_bucket_bits + 1) : 0;
    return static_cast<std::size_t>(shift * sub_buckets + (value >> shift));
}

std::uint64_t histogram::last_value_of(std::size_t bucket) noexcept {
    if (bucket < 2 * sub_buckets) {
        return bucket;
    }
    const std::uint64_t shift = bucket / sub_buckets - 1;
    const std::uint64_t upper = bucket % sub_buckets + sub_buckets;
    return ((upper + 1) << shift) - 1;
}

histogram::histogram() : buckets_(bucket_of(value_max) + 1) {}

void histogram::add(std::uint64_t value) noexcept {
    value = std::min(value, value_max);
    ++buckets_[bucket_of(value)];
    ++count_;
    min_ = std::min(min_, value);
    max_ = std::max(max_, value);
    sum_ += static_cast<double>(value);
}

void histogram::add(const histogram& other) noexcept {
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        buckets_[i] += other.buckets_[i];
    }
    count_ += other.count_;
    min_ = std::min(min_, other.min_);
    max_ = std::max(max_, other.max_);
    sum_ += other.sum_;
}

double histogram::mean() const noexcept {
    return count_ == 0 ? 0 : sum_ / static_cast<double>(count_);
}

std::uint64_t histogram::at_share(double share) const noexcept {
    // The product may miss a whole number by its last bit: 0.9 of 10 values are 9, not 10.
    constexpr double rounding = 1e-9;
    const double exact = std::clamp(share, 0.0, 1.0) * static_cast<double>(count_);
    const auto wanted =
        std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(exact - exact * rounding)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        seen += buckets_[i];
        if (seen >= wanted) {
            return std::min(last_value_of(i), max_);
        }
    }
    return max_;
}

std::uint64_t histogram::count_to(std::uint64_t value) const noexcept {
    const std::size_t last = bucket_of(std::min(value, value_max));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i <= last; ++i) {
        seen += buckets_[i];
    }
    return seen;
}

std::vector<histogram::step> histogram::curve(unsigned per_halving) const {
    std::vector<step> steps;
    if (count_ == 0) {
        return steps;
    }
    const double finest = 1.0 / static_cast<double>(count_);
    for (unsigned tick = 0;; ++tick) {
        const double left = std::exp2(-static_cast<double>(tick) / per_halving);
        if (left < finest) {
            break;
        }
        steps.push_back({.share = 1 - left, .value = at_share(1 - left)});
    }
    steps.push_back({.share = 1, .value = max_});
    return steps;
}

}  // namespace hearth::bench
