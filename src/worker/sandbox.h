#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "coro/scope.h"
#include "faas/invocation.h"
#include "worker/code_cache.h"
#include "worker/control_stream.h"
#include "worker/output_capture.h"
#include "worker/recycling.h"
#include "worker/sandbox_manager.h"
#include "worker/sandbox_state.h"
#include "worker/violations.h"

namespace hearth::worker {

// The time that importing a function may take before it is given up.
inline constexpr seconds init_timeout{30};

// What all sandboxes of a worker share.
struct sandbox_surroundings {
    uring::ring& home;
    sandbox_manager& manager;
    violations& found;
    std::uint32_t cpu_floor_millis;  // cpu_millis_of()
};

// One Python process in its sandbox, serving one revision of one function, one invocation at a
// time. start() once; invoke() while healthy(); end() always, also after a failed start. The peer
// inside is hostile: whatever it does can at worst fail its own invocation. Its state is the
// dispatcher's to change. Ring thread only.
class warm_sandbox {
public:
    warm_sandbox(const sandbox_surroundings& around, scope& tasks,
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
    // After a call: more runs in it than after the one before. One system call while Python has
    // one thread, else two.
    [[nodiscard]] bool has_more_running() noexcept;
    // Gives what is just ending the time to end. False when processes stay, which is reported;
    // threads that stay are the function's own affair and are known from now on.
    task<bool> settle();
    // After a call: used often enough, old enough, or close to one of its limits.
    [[nodiscard]] bool is_worn_out(const recycling_limits& limits);
    // Its processes stop, or go on. Not during a call.
    [[nodiscard]] result<> set_frozen(bool frozen) { return events_.shown.set_frozen(frozen); }

    [[nodiscard]] double init_ms() const noexcept { return init_ms_; }
    [[nodiscard]] const faas::function& target() const noexcept { return *target_; }
    // The process is gone.
    [[nodiscard]] bool ended() const noexcept { return events_.ended.is_set(); }
    // Called when the process ends, whenever that is.
    void set_on_end(std::function<void()> callback) { events_.on_end = std::move(callback); }

    sandbox_life life;
    steady_time idle_since;
    double eviction_priority = 0;
    std::uint64_t served = 0;

private:
    task<result<>> launch(const code_directory& code, deadline until);
    task<faas::outcome> explain_failure(error reason, bool starting);
    void measure(faas::outcome& end, steady_time now);
    [[nodiscard]] bool may_be_short_of_memory(steady_time now) const noexcept;
    [[nodiscard]] bool may_have_grown(steady_time now) const noexcept;
    void report(const faas::outcome& end);
    void report_end();
    [[nodiscard]] holdings look() const;
    [[nodiscard]] std::uint64_t tasks_now() const noexcept;
    [[nodiscard]] std::uint64_t processes_now() const noexcept;

    sandbox_surroundings around_;
    scope& tasks_;
    std::shared_ptr<const faas::function> target_;
    std::shared_ptr<const code_directory> code_;
    sandbox_events events_;
    std::uint64_t id_ = 0;
    control_stream stream_;
    std::unique_ptr<output_capture> output_;
    event output_done_;
    double init_ms_ = 0;
    steady_time born_;
    std::string last_request_id_;
    std::uint64_t cpu_usec_ = 0;     // when it was last measured
    std::uint64_t memory_peak_ = 0;  // when it was last read
    steady_time memory_read_;
    std::uint64_t oom_kills_ = 0;           // likewise
    std::uint64_t expected_tasks_ = 0;      // init, Python, and threads that were left before
    std::uint64_t expected_processes_ = 0;  // once the handler was imported
    holdings first_look_;                   // after the first call
    bool killed_ = false;
    bool created_ = false;    // the request to make it went out, so an end will be reported
    bool explained_ = false;  // its end was a call's outcome
    bool healthy_ = false;
};

}  // namespace hearth::worker
