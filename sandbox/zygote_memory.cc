#include "sandbox/zygote_memory.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "sandbox/small_file.h"

namespace hearth::sandbox::zygote_memory {
namespace {

constexpr std::size_t page_bytes = 4096;
constexpr std::size_t regions_max = 512;

struct region {
    std::uintptr_t first = 0;
    std::uintptr_t end = 0;

    [[nodiscard]] std::size_t size() const { return end - first; }
    [[nodiscard]] bool has(std::uintptr_t address) const {
        return address >= first && address < end;
    }
};

std::byte* memory_at(std::uintptr_t address) {
    return std::bit_cast<std::byte*>(address);
}

template <class T>
std::uintptr_t address_of(const T* object) {
    return reinterpret_cast<std::uintptr_t>(object);
}

// Not in the heap, which is moved itself. `original` is a view of the file that nobody writes to.
struct moved_regions {
    std::array<region, regions_max> all{};
    std::size_t count = 0;
    const std::byte* original = nullptr;

    [[nodiscard]] std::span<const region> list() const { return std::span(all).first(count); }
};
constinit moved_regions moved;

bool parse_address(std::string_view text, std::uintptr_t& out) {
    constexpr int hexadecimal = 16;
    return std::from_chars(text.data(), text.data() + text.size(), out, hexadecimal).ec ==
           std::errc();
}

// The first line of a mapping in /proc/self/smaps: "first-end rw-p offset device inode  name".
bool parse_region(std::string_view line, region& out) {
    const std::size_t dash = line.find('-');
    const std::size_t space = line.find(' ');
    constexpr std::string_view writable = " rw-p ";
    return dash < space && line.substr(space).starts_with(writable) &&
           parse_address(line.substr(0, dash), out.first) &&
           parse_address(line.substr(dash + 1, space - dash - 1), out.end);
}

// The kernel writes to the thread's own data by itself, and a stack is in use while it is looked
// at.
bool may_move(const region& each, const void* stack) {
    const std::uintptr_t own_data = ::pthread_self();
    const int here = 0;
    return !each.has(own_data) && !each.has(address_of(static_cast<const std::byte*>(stack))) &&
           !each.has(address_of(&here)) && !each.has(address_of(&moved)) &&
           !each.has(address_of(&moved.original));
}

// The last line of a mapping: "VmFlags: rd wr mr mw me ac". A file's mapping would forget that
// forks begin with zeroes there (wf, dp) or without it (dc), which is how secrets of random
// generators are kept from them.
bool is_as_any(std::string_view flags) {
    return !flags.contains(" wf") && !flags.contains(" dp") && !flags.contains(" dc");
}

result<std::size_t> find_regions(int descriptors, const void* stack) {
    auto maps = read_file_at(descriptors, "../smaps");
    if (!maps) {
        return propagate(maps);
    }
    constexpr std::size_t region_bytes_max = 1U << 30;  // a sanitizer's shadow is more than that
    std::size_t bytes = 0;
    std::string_view rest = *maps;
    region found;
    bool is_region = false;
    while (!rest.empty() && moved.count < regions_max) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        if (line.starts_with("VmFlags:")) {
            if (is_region && is_as_any(line) && found.size() <= region_bytes_max) {
                moved.all[moved.count++] = found;
                bytes += found.size();
            }
            is_region = false;
        } else if (!is_region) {
            is_region = parse_region(line, found) && may_move(found, stack);
        }
    }
    return bytes;
}

result<unique_fd> copy_regions(std::size_t bytes) {
    unique_fd file(::memfd_create("zygote", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file || ::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) {
        return fail_errno("a memory file for the zygote");
    }
    for (const region& each : moved.list()) {
        const std::byte* from = memory_at(each.first);
        for (std::size_t done = 0; done < each.size();) {
            const ssize_t wrote = ::write(file.get(), from + done, each.size() - done);
            if (wrote <= 0) {
                return fail_errno("copying the zygote's memory");
            }
            done += static_cast<std::size_t>(wrote);
        }
    }
    constexpr int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
    if (::fcntl(file.get(), F_ADD_SEALS, seals) != 0) {
        return fail_errno("sealing the zygote's memory");
    }
    return file;
}

// Nothing may change the memory between the copy and here but what stays where it is.
result<> map_regions(int file) {
    off_t offset = 0;
    for (const region& each : moved.list()) {
        if (::mmap(memory_at(each.first), each.size(), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_FIXED, file, offset) == MAP_FAILED) {
            return fail_errno("mapping the zygote's memory");
        }
        offset += static_cast<off_t>(each.size());
    }
    return {};
}

constexpr std::uint64_t page_present = 1ULL << 63;
constexpr std::uint64_t page_of_file = 1ULL << 61;

bool has_one_thread() noexcept {
    struct stat threads{};
    constexpr nlink_t links_of_one_thread = 3;
    return ::stat("/proc/self/task", &threads) == 0 && threads.st_nlink == links_of_one_thread;
}

std::size_t release_in(const region& each, const std::byte* original, int pagemap) noexcept {
    std::array<std::uint64_t, 256> entries;
    std::size_t released = 0;
    for (std::size_t at = 0; at < each.size();) {
        const std::size_t wanted = std::min(entries.size(), (each.size() - at) / page_bytes);
        const auto offset = static_cast<off_t>((each.first + at) / page_bytes * sizeof(entries[0]));
        const ssize_t got = ::pread(pagemap, entries.data(), wanted * sizeof(entries[0]), offset);
        if (got <= 0) {
            return released;
        }
        for (std::size_t i = 0; i < static_cast<std::size_t>(got) / sizeof(entries[0]); ++i) {
            std::byte* page = memory_at(each.first + at);
            if ((entries[i] & (page_present | page_of_file)) == page_present &&
                std::memcmp(page, original + at, page_bytes) == 0 &&
                ::madvise(page, page_bytes, MADV_DONTNEED) == 0) {
                ++released;
                // Where the function has mapped something of its own, what comes back is not it.
                if (std::memcmp(page, original + at, page_bytes) != 0) {
                    std::memcpy(page, original + at, page_bytes);
                }
            }
            at += page_bytes;
        }
    }
    return released;
}

}  // namespace

result<> move_to_file(int descriptors, const void* stack) {
    auto bytes = find_regions(descriptors, stack);
    if (!bytes) {
        return propagate(bytes);
    }
    auto file = copy_regions(*bytes);
    if (!file) {
        return propagate(file);
    }
    void* original = ::mmap(nullptr, *bytes, PROT_READ, MAP_PRIVATE, file->get(), 0);
    if (original == MAP_FAILED) {
        return fail_errno("mapping the zygote's memory file");
    }
    moved.original = static_cast<const std::byte*>(original);
    return map_regions(file->get());
}

std::size_t release_equal_pages() noexcept {
    const unique_fd pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    if (!pagemap || moved.original == nullptr || !has_one_thread()) {
        return 0;
    }
    // A handler would write what is then dropped.
    sigset_t every;
    sigset_t before;
    ::sigfillset(&every);
    ::sigprocmask(SIG_SETMASK, &every, &before);
    std::size_t released = 0;
    const std::byte* original = moved.original;
    for (const region& each : moved.list()) {
        released += release_in(each, original, pagemap.get());
        original += each.size();
    }
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    return released;
}

}  // namespace hearth::sandbox::zygote_memory
