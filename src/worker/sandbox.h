#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "coro/scope.h"
#include "faas/invocation.h"
#include "worker/code_cache.h"
#include "worker/output_capture.h"
#include "worker/sandbox_manager.h"

namespace hearth::worker {

// The time that importing a function may take before it is given up.
inline constexpr seconds init_timeout{30};

// One Python process in its sandbox, serving one revision of one function, one invocation at a
// time. start() once; invoke() while healthy(); end() always, also after a failed start. The peer
// inside is hostile: whatever it does can at worst fail its own invocation. Ring thread only.
class warm_sandbox {
public:
    warm_sandbox(uring::ring& home, sandbox_manager& manager, scope& tasks,
                 std::shared_ptr<const faas::function> target);
    ~warm_sandbox();

    // Makes the sandbox and imports the handler. On failure the outcome to report.
    task<std::expected<void, faas::outcome>> start(const code_directory& code);
    // Runs `call` and ends it at `until` at the latest, by killing the sandbox.
    task<faas::outcome> invoke(const faas::invocation& call, deadline until);
    // Kills what is left and waits until nothing of it is.
    task<void> end();
    // Kills the process; a running call ends with that outcome.
    void kill();
    // The code stays unpacked as long as this sandbox lives.
    void hold_code(std::shared_ptr<const code_directory> code) { code_ = std::move(code); }

    // False once it must not be used again.
    [[nodiscard]] bool healthy() const noexcept { return healthy_; }
    // Between calls: alive, and it has said nothing unasked. One system call.
    [[nodiscard]] bool ready_for_call() const noexcept;
    [[nodiscard]] double init_ms() const noexcept { return init_ms_; }
    [[nodiscard]] const faas::function& target() const noexcept { return *target_; }
    // The process is gone.
    [[nodiscard]] bool ended() const noexcept { return events_.ended.is_set(); }
    // Called when the process ends, whenever that is.
    void set_on_end(std::function<void()> callback) { events_.on_end = std::move(callback); }

    steady_time idle_since;
    std::uint64_t served = 0;

private:
    struct answer;

    task<result<>> send(std::string_view head, std::string_view body, deadline until);
    task<result<answer>> receive_answer(std::uint64_t nonce, deadline until);
    task<result<>> launch(const code_directory& code, deadline until);
    task<faas::outcome> explain_failure(error reason, bool starting);
    [[nodiscard]] std::int64_t memory_peak_mb() const;
    [[nodiscard]] faas::outcome exit_outcome() const;

    uring::ring& home_;
    sandbox_manager& manager_;
    scope& tasks_;
    std::shared_ptr<const faas::function> target_;
    std::shared_ptr<const code_directory> code_;
    sandbox_events events_;
    std::uint64_t id_ = 0;
    unique_fd control_;
    std::unique_ptr<output_capture> output_;
    event output_done_;
    double init_ms_ = 0;
    bool killed_ = false;
    bool created_ = false;  // the request to make it went out, so an end will be reported
    bool healthy_ = false;
};

}  // namespace hearth::worker
