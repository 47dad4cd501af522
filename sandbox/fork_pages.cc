#include "sandbox/fork_pages.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/unique_fd.h"
#include "sandbox/small_file.h"

namespace hearth::sandbox::fork_pages {
namespace {

constexpr std::size_t page_bytes = 4096;
constexpr std::size_t runs_max = 1'024;  // what is beyond is copied when it is touched

struct run {
    std::uintptr_t first = 0;
    std::size_t bytes = 0;
};

// Not in the heap, whose pages are what this is about.
struct learnt_runs {
    std::array<run, runs_max> all{};
    std::size_t count = 0;

    [[nodiscard]] std::span<const run> list() const { return std::span(all).first(count); }

    void add(std::uintptr_t page) {
        if (count > 0 && all[count - 1].first + all[count - 1].bytes == page) {
            all[count - 1].bytes += page_bytes;
        } else if (count < runs_max) {
            all[count++] = {.first = page, .bytes = page_bytes};
        }
    }
};
constinit learnt_runs learnt;

struct mapping {
    std::uintptr_t first = 0;
    std::uintptr_t end = 0;
};

std::string_view take_field(std::string_view& line) {
    const std::size_t length = std::min(line.find(' '), line.size());
    const std::string_view field = line.substr(0, length);
    line.remove_prefix(std::min(line.find_first_not_of(' ', length), line.size()));
    return field;
}

bool parse_address(std::string_view text, std::uintptr_t& out) {
    constexpr int hexadecimal = 16;
    return std::from_chars(text.data(), text.data() + text.size(), out, hexadecimal).ec ==
           std::errc();
}

// A line of /proc/<pid>/maps: "first-end rw-p offset device inode  name". Only what was moved into
// a file is learnt from, as it is what every fork has.
bool parse_mapping(std::string_view line, mapping& out) {
    const std::string_view range = take_field(line);
    const std::string_view rights = take_field(line);
    take_field(line);  // offset
    take_field(line);  // device
    const std::string_view inode = take_field(line);
    const std::size_t dash = range.find('-');
    return rights == "rw-p" && inode != "0" && dash != std::string_view::npos &&
           parse_address(range.substr(0, dash), out.first) &&
           parse_address(range.substr(dash + 1), out.end);
}

// Bits of /proc/<pid>/pagemap.
constexpr std::uint64_t page_present = 1ULL << 63;
constexpr std::uint64_t page_of_file = 1ULL << 61;
constexpr std::uint64_t page_mapped_once = 1ULL << 56;

// Notes each page of which the example has a copy of its own.
void learn_from(int pagemap, const mapping& where) {
    constexpr std::uint64_t asked = page_present | page_of_file | page_mapped_once;
    std::array<std::uint64_t, 512> entries;
    for (std::uintptr_t page = where.first; page < where.end;) {
        const std::size_t wanted = std::min(entries.size(), (where.end - page) / page_bytes);
        const auto offset = static_cast<off_t>(page / page_bytes * sizeof(entries[0]));
        const ssize_t got = ::pread(pagemap, entries.data(), wanted * sizeof(entries[0]), offset);
        if (got <= 0) {
            return;
        }
        const auto count = static_cast<std::size_t>(got) / sizeof(entries[0]);
        for (const std::uint64_t entry : std::span(entries).first(count)) {
            if ((entry & asked) == (page_present | page_mapped_once)) {
                learnt.add(page);
            }
            page += page_bytes;
        }
    }
}

}  // namespace

result<> learn(int descriptors, pid_t example) {
    auto maps = read_file_at(descriptors, "../maps");
    if (!maps) {
        return propagate(maps);
    }
    const unique_fd pagemap(
        ::openat(descriptors, concat("../../", example, "/pagemap").c_str(), O_RDONLY | O_CLOEXEC));
    std::string_view rest = *maps;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\n'), rest.size() - 1);
        mapping found;
        if (parse_mapping(rest.substr(0, end), found)) {
            learn_from(pagemap.get(), found);
        }
        rest.remove_prefix(end + 1);
    }
    return {};
}

void copy_ahead() noexcept {
    for (const run& each : learnt.list()) {
        if (::madvise(std::bit_cast<void*>(each.first), each.bytes, MADV_POPULATE_WRITE) != 0) {
            return;  // Linux before 5.14, or no memory
        }
    }
}

}  // namespace hearth::sandbox::fork_pages
