#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

// What a worker can see of a living sandbox without asking hearth-sandboxd: files of its cgroups,
// opened by root, read by whoever holds the descriptor. Each read is one system call of less than a
// microsecond (memory_held 3), against some 100 for a question and its answer. Freezing is a write
// to such a file; it reaches this sandbox and no other.
//
// They stay readable until the sandbox's exited packet; a file whose cgroup is gone reads as
// nothing. Any thread, one at a time.

namespace hearth::sandbox {

// In the order in which `created` carries them; its `gauges` has one bit for each that is there.
enum class gauge : std::uint8_t {
    memory_peak,    // high-water mark in bytes since the sandbox was made
    memory_events,  // with the count of processes killed for memory
    memory_stat,    // what the memory is used for
    tasks,          // threads of all processes, zombies too
    cpu_time,       // of all processes
    processes,      // a process id per line, zombies not among them
    freezer,        // written: "1" freezes, "0" thaws
};
inline constexpr std::size_t gauge_count = 7;

// `text` of the file, made a number; 0 when it does not have it. Both versions of cgroups.
[[nodiscard]] std::uint64_t gauge_number(gauge which, std::string_view text) noexcept;

class gauges {
public:
    // Empty where the host cannot show it.
    unique_fd& operator[](gauge which) { return files_[static_cast<std::size_t>(which)]; }
    [[nodiscard]] const unique_fd& operator[](gauge which) const {
        return files_[static_cast<std::size_t>(which)];
    }
    // One bit for each that is there.
    [[nodiscard]] std::uint32_t present() const noexcept;

    // Nothing where the host cannot show it, or the sandbox is gone.
    [[nodiscard]] std::optional<std::uint64_t> read(gauge which) const noexcept;
    // Open descriptors of the processes together. Takes the host's /proc and Linux 6.2.
    [[nodiscard]] std::optional<std::uint64_t> open_files() const;
    // Takes effect on each process as it next returns to user space; a call right after it may
    // still find it running. errc::unavailable where the host cannot; errc::closed when the sandbox
    // is gone.
    [[nodiscard]] result<> set_frozen(bool frozen) const;

private:
    std::array<unique_fd, gauge_count> files_;
};

}  // namespace hearth::sandbox
