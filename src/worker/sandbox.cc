#include "worker/sandbox.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include <openssl/evp.h>

#include "base/check.h"
#include "base/concat.h"
#include "base/ids.h"
#include "base/log.h"
#include "coro/wait_list.h"
#include "coro/yield.h"
#include "worker/error_report.h"

namespace hearth::worker {
namespace {

constexpr seconds exit_wait{10};        // for a killed sandbox to be gone
constexpr seconds self_exit_wait{2};    // for one that closed its stream to end by itself
constexpr milliseconds peak_stands{1};  // in which a processor clears some 10 MB
constexpr double usec_per_ms = 1000;
constexpr std::uint64_t bytes_per_mb = 1 << 20;

double elapsed_ms(steady_time since) {
    return std::chrono::duration<double, std::milli>(steady_clock::now() - since).count();
}

std::uint64_t memory_limit_bytes(const faas::function& target) {
    return static_cast<std::uint64_t>(target.memory_mb) * bytes_per_mb;
}

// The same for all revisions of a function, and for no two functions.
sandbox::function_key key_of(const std::string& function_id) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    HEARTH_CHECK(::EVP_Digest(function_id.data(), function_id.size(), digest.data(), nullptr,
                              EVP_sha256(), nullptr) == 1,
                 "SHA-256 of a function's id");
    sandbox::function_key key;
    std::memcpy(key.words.data(), digest.data(), sizeof key.words);
    return key;
}

task<void> watch_output(output_capture& output, event& done) {
    co_await output.watch();
    done.set();
}

std::string timeout_message(bool starting, std::int64_t timeout_ms) {
    constexpr double ms_per_s = 1000;
    const double limit_s = starting ? static_cast<double>(init_timeout.count())
                                    : static_cast<double>(timeout_ms) / ms_per_s;
    char text[128];
    std::snprintf(text, sizeof text, "%s timed out after %.2f seconds; %s",
                  starting ? "Init" : "Task", limit_s,
                  starting ? "import less, or later" : "give the function a larger timeoutMs");
    return text;
}

}  // namespace

warm_sandbox::warm_sandbox(const sandbox_surroundings& around, scope& tasks,
                           std::shared_ptr<const faas::function> target)
    : around_(around), tasks_(tasks), target_(std::move(target)) {
    id_ = around_.manager.add(events_);
}

warm_sandbox::~warm_sandbox() {
    around_.manager.forget(id_);
}

task<result<>> warm_sandbox::launch(const code_directory& code, deadline until) {
    sandbox::create_packet wanted;
    wanted.header.sandbox_id = id_;
    wanted.memory_mb = static_cast<std::uint32_t>(target_->memory_mb);
    wanted.cpu_millis = cpu_millis_of(target_->memory_mb, around_.cpu_floor_millis);
    wanted.family = target_->runtime == faas::numpy_runtime ? sandbox::zygote_family::numpy
                                                            : sandbox::zygote_family::standard;
    wanted.function = key_of(target_->id);
    auto sent = co_await around_.manager.create(wanted, code.descriptor.get(), until);
    if (!sent) {
        co_return sent;
    }
    created_ = true;
    auto answered = co_await events_.answered.wait(until);
    if (!answered) {
        co_return answered;
    }
    if (events_.failure) {
        co_return fail(errc::unavailable, concat("the sandbox could not be made: ",
                                                 sandbox::text_of(events_.failure->stage), ": ",
                                                 sandbox::text_of(events_.failure->text)));
    }
    if (!events_.control_stream) {
        co_return fail(errc::unavailable, "the sandbox ended before it was made");
    }
    stream_ = control_stream(std::move(events_.control_stream));
    output_ = std::make_unique<output_capture>(around_.home, std::move(events_.output));
    tasks_.spawn(watch_output(*output_, output_done_));
    co_return result<>{};
}

task<std::expected<void, faas::outcome>> warm_sandbox::start(const code_directory& code) {
    born_ = steady_clock::now();
    const deadline until = born_ + init_timeout;
    auto launched = co_await launch(code, until);
    if (!launched) {
        faas::outcome failed =
            failure_outcome(faas::error_type::start_failed, std::move(launched.error().message));
        failed.not_started = true;
        failed.host_trouble = true;
        co_return std::unexpected(std::move(failed));
    }
    output_->begin_invocation();
    const std::uint64_t nonce = random_u64();
    auto frame = sandbox::encode_init_frame(nonce, init_parameters_of(*target_));
    if (!frame) {
        co_return std::unexpected(
            failure_outcome(faas::error_type::start_failed, std::move(frame.error().message)));
    }
    auto sent = co_await stream_.send(*frame, {}, until);
    result<control_stream::answer> received = fail(errc::closed, "");
    if (sent) {
        received = co_await stream_.receive(nonce, until);
    } else {
        received = propagate(sent);
    }
    faas::outcome failed;
    if (received && received->type == sandbox::frame_type::ready) {
        init_ms_ = elapsed_ms(born_);
        healthy_ = true;
        expected_tasks_ = tasks_now();
        expected_processes_ = processes_now();
        measure(failed, steady_clock::now());
        co_return std::expected<void, faas::outcome>{};
    }
    if (received && received->type == sandbox::frame_type::init_error) {
        failed = reported_failure(received->payload, true);
    } else if (received) {
        failed = failure_outcome(faas::error_type::protocol_violation,
                                 "the sandbox answered out of turn");
    } else {
        failed = co_await explain_failure(std::move(received.error()), true);
    }
    measure(failed, steady_clock::now());
    report(failed);
    failed.logs = output_->end_invocation();
    failed.init_ms = elapsed_ms(born_);
    failed.cold_start = true;
    co_return std::unexpected(std::move(failed));
}

task<faas::outcome> warm_sandbox::invoke(const faas::invocation& call, deadline until) {
    // Its event wakes the sandbox, which may take this processor at once: what is ready goes first.
    if (executor::current()->has_ready()) {
        co_await yield();
    }
    const steady_time began = steady_clock::now();
    const std::uint64_t nonce = random_u64();
    const auto left = std::chrono::duration_cast<milliseconds>(until - began);
    last_request_id_ = call.request_id;
    output_->begin_invocation();
    auto head = sandbox::encode_invoke_head(nonce, wall_clock_ms() + left.count(), call.request_id,
                                            call.event.size());
    result<control_stream::answer> received = fail(errc::internal, "");
    if (!head) {
        received = propagate(head);
    } else if (auto sent = co_await stream_.send(*head, call.event, until); !sent) {
        received = propagate(sent);
    } else {
        received = co_await stream_.receive(nonce, until);
    }
    const steady_time ended = steady_clock::now();
    const double duration_ms = std::chrono::duration<double, std::milli>(ended - began).count();
    faas::outcome end;
    if (!received) {
        end = co_await explain_failure(std::move(received.error()), false);
    } else if (received->type == sandbox::frame_type::result) {
        end = checked_result(std::move(received->payload));
    } else if (received->type == sandbox::frame_type::error) {
        end = reported_failure(received->payload, false);
    } else {
        end = failure_outcome(faas::error_type::protocol_violation,
                              "the sandbox answered out of turn");
    }
    ++served;
    measure(end, ended);
    end.logs = output_->end_invocation();
    end.duration_ms = duration_ms;
    report(end);
    if (output_->flooded()) {
        around_.found.report(violation::output_flood, *target_, last_request_id_,
                             concat("more than ", output_flood_bytes, " bytes in one call"));
    }
    // After sys.exit the process ends once it has said so, which would be the next call's failure.
    healthy_ = healthy_ && end.failure != faas::failure_kind::protocol &&
               end.failure != faas::failure_kind::exit &&
               end.failure != faas::failure_kind::out_of_memory;
    co_return end;
}

// Nobody is killed far from the limit, and nobody gets there faster than the host's processors
// clear pages.
bool warm_sandbox::may_be_short_of_memory(steady_time now) const noexcept {
    constexpr double bytes_per_ms = 64 << 20;  // a processor clears some 10 MB in a millisecond
    // The kernel charges in steps, of a huge page at most.
    constexpr double close_bytes = 4 << 20;
    const double since_ms = std::chrono::duration<double, std::milli>(now - memory_read_).count();
    return static_cast<double>(memory_peak_) + close_bytes + since_ms * bytes_per_ms >
           static_cast<double>(memory_limit_bytes(*target_));
}

// Not asked again within a moment in which it could not come near the limit. A longer one would
// give what this call took to the next.
bool warm_sandbox::may_have_grown(steady_time now) const noexcept {
    return now - memory_read_ >= peak_stands || may_be_short_of_memory(now);
}

// What the call used, from the files of the sandbox's cgroups. A child that was killed for memory
// makes the call one that was out of memory, whatever the handler made of it: where the kernel ends
// the sandbox as a whole, there is no other answer either.
void warm_sandbox::measure(faas::outcome& end, steady_time now) {
    std::uint64_t cpu_usec = cpu_usec_;
    if (events_.exit) {
        memory_peak_ = events_.exit->memory_peak_bytes;
        cpu_usec = events_.exit->cpu_usec;
    } else {
        cpu_usec = events_.shown.read(sandbox::gauge::cpu_time).value_or(cpu_usec);
        if (may_have_grown(now)) {
            memory_peak_ = events_.shown.read(sandbox::gauge::memory_peak).value_or(memory_peak_);
            memory_read_ = now;
            if (may_be_short_of_memory(now)) {
                const auto kills = events_.shown.read(sandbox::gauge::memory_events);
                if (kills.value_or(0) > oom_kills_) {
                    oom_kills_ = *kills;
                    healthy_ = false;
                    explained_ = true;
                    end = out_of_memory_outcome(*target_);
                }
            }
        }
    }
    end.memory_mb_peak =
        static_cast<std::int64_t>((memory_peak_ + bytes_per_mb - 1) / bytes_per_mb);
    end.cpu_ms = static_cast<double>(cpu_usec - std::min(cpu_usec, cpu_usec_)) / usec_per_ms;
    cpu_usec_ = cpu_usec;
}

void warm_sandbox::report(const faas::outcome& end) {
    const auto tell = [&](violation kind) {
        around_.found.report(kind, *target_, last_request_id_, end.error_message);
    };
    if (end.failure == faas::failure_kind::protocol) {
        tell(violation::protocol);
    } else if (end.failure == faas::failure_kind::policy) {
        tell(violation::policy);
    } else if (end.failure == faas::failure_kind::out_of_memory) {
        tell(violation::out_of_memory);
    }
}

bool warm_sandbox::ready_for_call() const noexcept {
    return healthy_ && !ended() && stream_.is_silent();
}

std::uint64_t warm_sandbox::tasks_now() const noexcept {
    const auto tasks = events_.shown.read(sandbox::gauge::tasks);
    return tasks ? *tasks : processes_now();
}

std::uint64_t warm_sandbox::processes_now() const noexcept {
    return events_.shown.read(sandbox::gauge::processes).value_or(0);
}

// Equal counts prove nothing where there are threads: one that ended may have made room for a
// process. Init and a Python of one thread cannot be fewer.
bool warm_sandbox::has_more_running() noexcept {
    constexpr std::uint64_t init_and_python = 2;
    const std::uint64_t tasks = tasks_now();
    if (tasks <= init_and_python) {
        expected_tasks_ = tasks;
        return false;
    }
    if (tasks > expected_tasks_ || processes_now() > expected_processes_) {
        return true;
    }
    expected_tasks_ = tasks;
    return false;
}

task<bool> warm_sandbox::settle() {
    // Joined threads and children that were waited for leave the count some microseconds later.
    constexpr std::array pauses{microseconds(100), microseconds(200), microseconds(400),
                                microseconds(800)};
    for (const microseconds pause : pauses) {
        [[maybe_unused]] const auto slept = co_await sleep_until(after(pause));
        if (!has_more_running()) {
            co_return true;
        }
    }
    const std::uint64_t processes = processes_now();
    const bool told_apart = static_cast<bool>(events_.shown[sandbox::gauge::processes]);
    if (processes > expected_processes_ || !told_apart) {
        around_.found.report(violation::strays, *target_, last_request_id_,
                             concat(processes - expected_processes_,
                                    " processes were left behind; the sandbox is ended"));
        co_return false;
    }
    expected_tasks_ = tasks_now();
    co_return true;
}

bool warm_sandbox::is_worn_out(const recycling_limits& limits) {
    if (served >= limits.calls || steady_clock::now() - born_ >= limits.age) {
        return true;
    }
    if (!is_due_for_a_look(served)) {
        return false;
    }
    const holdings now = look();
    if (served == 1) {
        first_look_ = now;
    }
    return have_grown_too_far(first_look_, now, most_of(target_->memory_mb));
}

holdings warm_sandbox::look() const {
    return {.memory_bytes = events_.shown.read(sandbox::gauge::memory_stat).value_or(0),
            .open_files = events_.shown.open_files().value_or(0),
            .tasks = tasks_now()};
}

void warm_sandbox::kill() {
    healthy_ = false;
    killed_ = true;
    if (!events_.ended.is_set()) {
        around_.manager.kill(id_);
    }
}

task<void> warm_sandbox::end() {
    if (created_) {
        kill();
        while (!co_await events_.ended.wait(after(exit_wait))) {
            log::warning("a killed sandbox has not ended yet", {{"functionId", target_->id}});
        }
        report_end();
    }
    if (output_ != nullptr) {
        co_await output_->stop();
        [[maybe_unused]] const auto done = co_await output_done_.wait();
    }
    stream_.close();
}

// What only its end tells, or what happened between calls.
void warm_sandbox::report_end() {
    if (!events_.exit) {
        return;
    }
    if (events_.exit->pids_refused > 0) {
        around_.found.report(violation::pids_limit, *target_, last_request_id_,
                             concat(events_.exit->pids_refused, " forks ended at the limit of ",
                                    sandbox::pids_default, " processes and threads"));
    }
    if (!explained_ && events_.exit->killed_on_request == 0) {
        report(exit_outcome(*events_.exit, *target_));
    }
}

// Kills the sandbox and tells why its answer did not come.
task<faas::outcome> warm_sandbox::explain_failure(error reason, bool starting) {
    healthy_ = false;
    explained_ = true;
    if (reason.code == errc::deadline_exceeded) {
        around_.manager.kill(id_);
        [[maybe_unused]] const auto gone = co_await events_.ended.wait(after(exit_wait));
        co_return failure_outcome(faas::error_type::timed_out,
                                  timeout_message(starting, target_->timeout_ms));
    }
    if (reason.code == errc::protocol || reason.code == errc::too_large) {
        around_.manager.kill(id_);
        co_return failure_outcome(faas::error_type::protocol_violation, std::move(reason.message));
    }
    // The stream ended: so did the process, unless it only closed its end and goes on.
    auto gone = co_await events_.ended.wait(after(self_exit_wait));
    if (!gone) {
        around_.manager.kill(id_);
        [[maybe_unused]] const auto ended = co_await events_.ended.wait(after(exit_wait));
        co_return failure_outcome(faas::error_type::exited,
                                  "Runtime exited without providing a reason");
    }
    if (killed_) {
        co_return failure_outcome(faas::error_type::exited,
                                  "ended by Hearth, which is shutting down");
    }
    if (!events_.exit) {
        co_return failure_outcome(faas::error_type::exited,
                                  "Runtime exited without providing a reason");
    }
    co_return exit_outcome(*events_.exit, *target_);
}

}  // namespace hearth::worker
