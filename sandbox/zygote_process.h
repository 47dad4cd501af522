#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/protocol.h"

// One hearth-zygote as sandboxd sees it: how it is started, what it says, how it ends. Nothing here
// blocks but end_now().

namespace hearth::sandbox {

// To import everything; takes less than a second.
inline constexpr seconds zygote_start_time_max{60};

struct zygote_process {
    pid_t process = -1;
    unique_fd pidfd;
    unique_fd socket;  // it ends when it reads the end of this
    steady_time started_at;
    std::uint32_t forks = 0;
};

// What every zygote of one sandboxd is started from.
struct zygote_origin {
    unique_fd program;  // hearth-zygote (O_PATH); without it there never is a zygote
    std::string python;
    std::vector<const char*> environment;  // ends with nullptr
};

[[nodiscard]] zygote_origin make_zygote_origin(unique_fd program, std::string python,
                                               std::span<const char* const> environment);

// Its end and its first word wake `epoll`. `modules` are imported beside the usual ones, with
// commas.
[[nodiscard]] result<zygote_process> launch_zygote(const zygote_origin& from, zygote_family family,
                                                   const std::string& modules, int epoll);

enum class zygote_word { none, ready, refused };
[[nodiscard]] zygote_word read_word(const zygote_process& from);

// Not ready within zygote_start_time_max; says so in the log.
[[nodiscard]] bool is_overdue(const zygote_process& which);
void kill_zygote(const zygote_process& which);

// Whether it has ended; reaps it then.
[[nodiscard]] bool has_ended(const zygote_process& which);

// Kills it and waits. It holds nothing that an orderly end would save.
void end_now(const zygote_process& which);

[[nodiscard]] result<> watch_readable(int epoll, int fd);

// Sets a timer to go off `at`, or at once where that has passed.
void arm_at(int timer, steady_time at);
void disarm(int timer);
void drain(int timer);

}  // namespace hearth::sandbox
