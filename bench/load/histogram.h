#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hearth::bench {

// Counts of values of any size up to a bound, with the same relative error everywhere, in the
// manner of HdrHistogram (hdrhistogram.org): 128 buckets for each power of two, so that a value is
// known to within 1/128 of itself (0.8 %) and below 256 exactly. Adding is a shift and an
// increment, and histograms of several threads add up without loss. Not thread-safe.
class histogram {
public:
    // Values above it are counted as this one: 18 minutes in nanoseconds.
    static constexpr std::uint64_t value_max = (std::uint64_t{1} << 40) - 1;
    static constexpr unsigned sub_bucket_bits = 7;
    static constexpr double relative_error = 1.0 / (1 << sub_bucket_bits);

    histogram();

    void add(std::uint64_t value) noexcept;
    void add(const histogram& other) noexcept;

    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    // Exact; 0 while empty.
    [[nodiscard]] std::uint64_t min() const noexcept { return count_ == 0 ? 0 : min_; }
    [[nodiscard]] std::uint64_t max() const noexcept { return max_; }
    [[nodiscard]] double mean() const noexcept;
    // The largest value that belongs to the bucket of the value below which `share` (0 to 1) of the
    // values lie, itself included; never above max(). 0 while empty.
    [[nodiscard]] std::uint64_t at_share(double share) const noexcept;
    // How many values lie in the bucket of `value` or below.
    [[nodiscard]] std::uint64_t count_to(std::uint64_t value) const noexcept;

    struct step {
        double share = 0;  // of values that are at most `value`
        std::uint64_t value = 0;
    };
    // The curve from the smallest to the largest value: `per_halving` steps for each halving of
    // what is left above, until less than one value is left.
    [[nodiscard]] std::vector<step> curve(unsigned per_halving = 4) const;

private:
    [[nodiscard]] static std::size_t bucket_of(std::uint64_t value) noexcept;
    [[nodiscard]] static std::uint64_t last_value_of(std::size_t bucket) noexcept;

    std::vector<std::uint64_t> buckets_;
    std::uint64_t count_ = 0;
    std::uint64_t min_ = value_max;
    std::uint64_t max_ = 0;
    double sum_ = 0;
};

}  // namespace hearth::bench
