#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/protocol.h"
#include "sandbox/zygote_process.h"
#include "sandbox/zygote_protocol.h"

namespace hearth::sandbox {

struct function_zygote_settings {
    std::array<std::string, zygote_families> modules;  // imported beside the usual ones
    bool has_numpy = false;
    std::uint32_t forks_max = 0;
    seconds age_max{0};
    std::uint32_t spares = 0;         // of the standard family that belong to nobody yet
    std::uint32_t functions_max = 0;  // that have one of their own
    seconds idle_max{0};              // without a sandbox of the function
};

// A zygote for each function, so that sandboxes of different functions share neither the layout of
// memory nor the secret of hash().
//
// Problem: starting a zygote takes a hundred times as long as a fork of it, and nobody knows which
// function comes next. Solution: a few spare ones that have seen nobody are there. The first start
// of a function makes a spare one the function's own for as long as it is kept; it never goes back.
// Who finds none ready executes Python: no start waits for a zygote, and none shares one. A numpy
// zygote is too large to keep spare: the first start of such a function has one started for it.
//
// A zygote ends when it is worn out, when its function had no sandbox for idle_max, or as the one
// that was used longest ago when a function beyond functions_max comes. One is started at a time,
// and they take a bounded part of a processor. Sandboxes outlive their zygote. Never blocks.
class function_zygotes {
public:
    [[nodiscard]] static result<function_zygotes> make(unique_fd program, std::string python,
                                                       std::span<const char* const> environment,
                                                       function_zygote_settings settings);

    // Readable when dispatch() has something to do.
    [[nodiscard]] int descriptor() const { return epoll_.get(); }
    void dispatch();

    // The zygote that will fork for a sandbox of this function; 0: none, execute Python. Each that
    // is taken is given back by note_end() when the sandbox has ended or was not made.
    [[nodiscard]] std::uint64_t take(zygote_family family, const function_key& function);
    // Whether take() would have one.
    [[nodiscard]] bool has_for(zygote_family family, const function_key& function) const;
    [[nodiscard]] bool has_spare() const;
    // Some function or other can have a fork.
    [[nodiscard]] bool serves() const;
    [[nodiscard]] bool starting() const;
    // Processes: those of functions, spare ones, and one that is not ready yet.
    [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(all_.size()); }

    // errc::unavailable: it is gone meanwhile.
    [[nodiscard]] result<> fork(std::uint64_t zygote, const fork_request& request,
                                std::span<const int> descriptors);
    void note_fork(std::uint64_t zygote, bool succeeded);
    void note_end(std::uint64_t zygote);

    // Ends every zygote and waits for it.
    void shut_down();

private:
    struct member {
        std::uint64_t id = 0;
        zygote_process process;
        zygote_family family = zygote_family::standard;
        std::optional<function_key> owner;  // none: spare
        bool ready = false;
        std::uint32_t sandboxes = 0;     // that live, or are about to
        std::uint32_t failed_forks = 0;  // in a row
        steady_time used_at;
    };

    function_zygotes(zygote_origin origin, function_zygote_settings settings)
        : settings_(std::move(settings)), origin_(std::move(origin)) {}

    [[nodiscard]] member* find(std::uint64_t zygote);
    [[nodiscard]] const member* own(zygote_family family, const function_key& function) const;
    [[nodiscard]] const member* spare() const;
    [[nodiscard]] bool is_worn_out(const member& which, steady_time now) const;
    [[nodiscard]] bool may_start() const;
    [[nodiscard]] std::uint64_t use(std::uint64_t zygote);
    void make_room_for_one();
    void start(zygote_family family, std::optional<function_key> owner);
    void start_spare();
    void look_at_new_ones();
    void drop_dead_ones();
    void retire_old_ones();
    void retire(std::uint64_t zygote);
    void delay_start();
    void arm_timer() const;

    function_zygote_settings settings_;
    zygote_origin origin_;
    unique_fd epoll_;
    unique_fd timer_;
    std::vector<member> all_;              // spares + functions_max at most, and one that starts
    std::vector<zygote_process> retired_;  // on their way out
    std::uint64_t last_id_ = 0;
    std::array<bool, zygote_families> was_ready_{};  // one of them, once
    steady_time start_at_;                           // not before
    milliseconds start_pause_{0};                    // after a failure; doubles
};

}  // namespace hearth::sandbox
