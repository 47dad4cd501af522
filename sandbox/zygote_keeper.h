#pragma once

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

// What one zygote is like, and how long it serves (options.h).
struct zygote_settings {
    zygote_family family = zygote_family::standard;
    std::string modules;  // imported beside the usual ones; with commas
    std::uint32_t forks_max = 0;
    seconds age_max{0};
};

// Keeps one zygote running for sandboxd: starts it, replaces it when it is worn out or has died,
// and passes fork requests on. A new one is started before the old one goes. Sandboxes outlive the
// zygote that they came from. Never blocks.
class zygote_keeper {
public:
    // `program` is hearth-zygote (O_PATH); without it there never is a zygote. That of the standard
    // family is started at once, others by want().
    [[nodiscard]] static result<zygote_keeper> make(unique_fd program, std::string python,
                                                    std::span<const char* const> environment,
                                                    zygote_settings settings);

    // Readable when dispatch() has something to do.
    [[nodiscard]] int descriptor() const { return epoll_.get(); }
    void dispatch();

    // Somebody could use it: starts it, unless that was tried in vain. Returns at once.
    void want();

    [[nodiscard]] bool ready() const { return current_.has_value(); }
    // There will be one in a moment.
    [[nodiscard]] bool starting() const { return next_.has_value() && !current_; }
    // Processes, with one that is not ready yet.
    [[nodiscard]] std::uint32_t count() const { return (current_ ? 1U : 0U) + (next_ ? 1U : 0U); }

    // The descriptors stay the caller's. What becomes of it is told on the sandbox's status pipe.
    [[nodiscard]] result<> fork(const fork_request& request, std::span<const int> descriptors);
    // How it ended; a zygote whose forks keep failing is replaced.
    void note_fork(bool succeeded);

    // Ends every zygote and waits for it.
    void shut_down();

private:
    zygote_keeper(unique_fd program, std::string python, std::span<const char* const> environment,
                  zygote_settings settings)
        : settings_(std::move(settings)),
          wanted_(settings_.family == zygote_family::standard),
          origin_(make_zygote_origin(std::move(program), std::move(python), environment)) {}

    void start_next();
    void check_next();
    void retire_current();
    void delay_start();
    void arm_timer() const;
    [[nodiscard]] bool is_worn_out() const;

    zygote_settings settings_;
    bool wanted_;
    zygote_origin origin_;
    unique_fd epoll_;
    unique_fd timer_;
    std::optional<zygote_process> current_;
    std::optional<zygote_process> next_;
    std::vector<zygote_process> retired_;  // on their way out
    steady_time start_at_;                 // not before
    milliseconds start_pause_{0};          // after a failure; doubles
    std::uint32_t failed_forks_ = 0;       // in a row
    bool was_ready_ = false;               // one of them, once
};

}  // namespace hearth::sandbox
