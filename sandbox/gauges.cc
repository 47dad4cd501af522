#include "sandbox/gauges.h"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include <sys/stat.h>
#include <unistd.h>

#include "base/concat.h"

namespace hearth::sandbox {
namespace {

// Holds memory.stat of both versions, and more process ids than pids_max.
constexpr std::size_t file_bytes_max = 64 << 10;
constexpr std::size_t short_file_bytes = 4096;

std::uint64_t leading_number(std::string_view text) noexcept {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

// Calls `visit` with each line, without its end.
template <class Visit>
void for_each_line(std::string_view text, const Visit& visit) {
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        visit(line);
    }
}

// Of the lines "key number": the sum over the keys.
template <std::size_t Count>
std::uint64_t sum_of(std::string_view text, const std::array<std::string_view, Count>& keys) {
    std::uint64_t total = 0;
    for_each_line(text, [&](std::string_view line) {
        for (const std::string_view key : keys) {
            if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ') {
                total += leading_number(line.substr(key.size() + 1));
            }
        }
    });
    return total;
}

std::string_view read_into(const unique_fd& file, char* buffer, std::size_t size) noexcept {
    const ssize_t got = file ? ::pread(file.get(), buffer, size, 0) : -1;
    return {buffer, got > 0 ? static_cast<std::size_t>(got) : 0};
}

}  // namespace

std::uint64_t gauge_number(gauge which, std::string_view text) noexcept {
    switch (which) {
        case gauge::memory_events:
            return sum_of(text, std::array<std::string_view, 1>{"oom_kill"});
        case gauge::memory_stat:
            // Version 1 calls anonymous memory rss. What is not among these can be taken back.
            return sum_of(text, std::array<std::string_view, 3>{"anon", "rss", "shmem"});
        case gauge::cpu_time:
            return sum_of(text, std::array<std::string_view, 1>{"usage_usec"});
        case gauge::processes:
            return static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
        case gauge::memory_peak:
        case gauge::tasks:
        case gauge::freezer:
            return leading_number(text);
    }
    return 0;
}

std::uint32_t gauges::present() const noexcept {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < files_.size(); ++i) {
        bits |= files_[i] ? 1U << i : 0;
    }
    return bits;
}

std::optional<std::uint64_t> gauges::read(gauge which) const noexcept {
    std::array<char, short_file_bytes> buffer;
    const std::string_view text = read_into((*this)[which], buffer.data(), buffer.size());
    if (text.empty()) {
        return std::nullopt;
    }
    return gauge_number(which, text);
}

std::optional<std::uint64_t> gauges::open_files() const {
    std::string buffer(file_bytes_max, '\0');
    const auto text = read_into((*this)[gauge::processes], buffer.data(), buffer.size());
    std::optional<std::uint64_t> total;
    for_each_line(text, [&](std::string_view pid) {
        struct stat folder{};
        // The folder's size is the count of its entries; 0 on kernels that do not count them.
        if (::stat(concat("/proc/", pid, "/fd").c_str(), &folder) == 0 && folder.st_size > 0) {
            total = total.value_or(0) + static_cast<std::uint64_t>(folder.st_size);
        }
    });
    return total;
}

result<> gauges::set_frozen(bool frozen) const {
    const unique_fd& file = (*this)[gauge::freezer];
    if (!file) {
        return fail(errc::unavailable, "this host cannot freeze sandboxes");
    }
    if (::pwrite(file.get(), frozen ? "1" : "0", 1, 0) == 1) {
        return {};
    }
    // Which of the two depends on how far its removal has come.
    if (errno == ENODEV || errno == ENOENT) {
        return fail(errc::closed, "the sandbox is gone");
    }
    return fail_errno(frozen ? "freezing a sandbox" : "thawing a sandbox");
}

}  // namespace hearth::sandbox
