#include "worker/sandbox.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/log.h"
#include "sandbox/frame.h"
#include "uring/operation.h"
#include "worker/error_report.h"

namespace hearth::worker {
namespace {

constexpr seconds exit_wait{10};                // for a killed sandbox to be gone
constexpr seconds self_exit_wait{2};            // for one that closed its stream to end by itself
constexpr std::size_t first_read_bytes = 4096;  // most answers fit, so that one receive is enough

double elapsed_ms(steady_time since) {
    return std::chrono::duration<double, std::milli>(steady_clock::now() - since).count();
}

task<void> watch_output(output_capture& output, event& done) {
    co_await output.watch();
    done.set();
}

}  // namespace

struct warm_sandbox::answer {
    sandbox::frame_type type;
    std::string payload;
};

warm_sandbox::warm_sandbox(uring::ring& home, sandbox_manager& manager, scope& tasks,
                           std::shared_ptr<const faas::function> target)
    : home_(home), manager_(manager), tasks_(tasks), target_(std::move(target)) {
    id_ = manager_.add(events_);
}

warm_sandbox::~warm_sandbox() {
    manager_.forget(id_);
}

task<result<>> warm_sandbox::launch(const code_directory& code, deadline until) {
    sandbox::create_packet wanted;
    wanted.header.sandbox_id = id_;
    wanted.memory_mb = static_cast<std::uint32_t>(target_->memory_mb);
    wanted.family = target_->runtime == faas::numpy_runtime ? sandbox::zygote_family::numpy
                                                            : sandbox::zygote_family::standard;
    auto sent = co_await manager_.create(wanted, code.descriptor.get(), until);
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
    control_ = std::move(events_.control_stream);
    output_ = std::make_unique<output_capture>(home_, std::move(events_.output));
    tasks_.spawn(watch_output(*output_, output_done_));
    co_return result<>{};
}

task<std::expected<void, faas::outcome>> warm_sandbox::start(const code_directory& code) {
    const steady_time began = steady_clock::now();
    const deadline until = began + init_timeout;
    auto launched = co_await launch(code, until);
    if (!launched) {
        faas::outcome failed =
            failure_outcome(faas::error_type::start_failed, std::move(launched.error().message));
        failed.not_started = true;
        co_return std::unexpected(std::move(failed));
    }
    output_->begin_invocation();
    const std::uint64_t nonce = random_u64();
    auto frame = sandbox::encode_init_frame(nonce, init_parameters_of(*target_));
    if (!frame) {
        co_return std::unexpected(
            failure_outcome(faas::error_type::start_failed, std::move(frame.error().message)));
    }
    auto sent = co_await send(*frame, {}, until);
    result<answer> received = fail(errc::closed, "");
    if (sent) {
        received = co_await receive_answer(nonce, until);
    } else {
        received = propagate(sent);
    }
    faas::outcome failed;
    if (received && received->type == sandbox::frame_type::ready) {
        init_ms_ = elapsed_ms(began);
        healthy_ = true;
        co_return std::expected<void, faas::outcome>{};
    }
    if (received && received->type == sandbox::frame_type::init_error) {
        failed = reported_failure(received->payload);
    } else if (received) {
        failed = failure_outcome(faas::error_type::protocol_violation,
                                 "the sandbox answered out of turn");
    } else {
        failed = co_await explain_failure(std::move(received.error()), true);
    }
    failed.logs = output_->end_invocation();
    failed.memory_mb_peak = memory_peak_mb();
    failed.init_ms = elapsed_ms(began);
    failed.cold_start = true;
    co_return std::unexpected(std::move(failed));
}

task<faas::outcome> warm_sandbox::invoke(const faas::invocation& call, deadline until) {
    const steady_time began = steady_clock::now();
    const std::uint64_t nonce = random_u64();
    const auto left = std::chrono::duration_cast<milliseconds>(until - began);
    output_->begin_invocation();
    auto head = sandbox::encode_invoke_head(nonce, wall_clock_ms() + left.count(), call.request_id,
                                            call.event.size());
    result<answer> received = fail(errc::internal, "");
    if (!head) {
        received = propagate(head);
    } else if (auto sent = co_await send(*head, call.event, until); !sent) {
        received = propagate(sent);
    } else {
        received = co_await receive_answer(nonce, until);
    }
    const double duration_ms = elapsed_ms(began);
    faas::outcome end;
    if (!received) {
        end = co_await explain_failure(std::move(received.error()), false);
    } else if (received->type == sandbox::frame_type::result) {
        end = checked_result(std::move(received->payload));
    } else if (received->type == sandbox::frame_type::error) {
        end = reported_failure(received->payload);
    } else {
        end = failure_outcome(faas::error_type::protocol_violation,
                              "the sandbox answered out of turn");
    }
    // After sys.exit the process ends once it has said so, which would be the next call's failure.
    if (end.error_type == faas::error_type::protocol_violation ||
        end.error_type == faas::error_type::exited) {
        healthy_ = false;
    }
    end.logs = output_->end_invocation();
    end.duration_ms = duration_ms;
    end.memory_mb_peak = memory_peak_mb();
    ++served;
    co_return end;
}

bool warm_sandbox::ready_for_call() const noexcept {
    char unasked = 0;
    return healthy_ && !ended() &&
           ::recv(control_.get(), &unasked, sizeof unasked, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           errno == EAGAIN;
}

void warm_sandbox::kill() {
    healthy_ = false;
    killed_ = true;
    if (!events_.ended.is_set()) {
        manager_.kill(id_);
    }
}

task<void> warm_sandbox::end() {
    if (created_) {
        kill();
        while (!co_await events_.ended.wait(after(exit_wait))) {
            log::warning("a killed sandbox has not ended yet", {{"functionId", target_->id}});
        }
    }
    if (output_ != nullptr) {
        co_await output_->stop();
        [[maybe_unused]] const auto done = co_await output_done_.wait();
    }
    control_.reset();
}

task<result<>> warm_sandbox::send(std::string_view head, std::string_view body, deadline until) {
    std::array<iovec, 2> parts{{{const_cast<char*>(head.data()), head.size()},
                                {const_cast<char*>(body.data()), body.size()}}};
    std::size_t left = head.size() + body.size();
    std::span<iovec> unsent(parts);
    while (left > 0) {
        auto count = co_await uring::send_message(control_.get(), unsent, until);
        if (!count) {
            co_return propagate(count);
        }
        left -= *count;
        for (std::size_t taken = *count; left > 0 && taken > 0;) {
            const std::size_t step = std::min(taken, unsent.front().iov_len);
            unsent.front().iov_base = static_cast<char*>(unsent.front().iov_base) + step;
            unsent.front().iov_len -= step;
            taken -= step;
            if (unsent.front().iov_len == 0 && unsent.size() > 1) {
                unsent = unsent.subspan(1);
            }
        }
    }
    co_return result<>{};
}

task<result<warm_sandbox::answer>> warm_sandbox::receive_answer(std::uint64_t nonce,
                                                                deadline until) {
    std::array<std::byte, first_read_bytes> first;
    std::size_t filled = 0;
    while (filled < sandbox::frame_header_size) {
        auto count =
            co_await uring::receive(control_.get(), std::span(first).subspan(filled), until);
        if (!count) {
            co_return propagate(count);
        }
        if (*count == 0) {
            co_return fail(errc::closed, "the process ended");
        }
        filled += *count;
    }
    auto header = sandbox::decode_answer_header(first);
    if (!header) {
        co_return fail(errc::protocol, std::move(header.error().message));
    }
    const std::size_t early = filled - sandbox::frame_header_size;
    if (header->nonce != nonce || early > header->payload_length) {
        co_return fail(errc::protocol, "an answer to nothing that was asked");
    }
    answer received{header->type, std::string()};
    // The lambda's own second parameter is no use: libstdc++ 12 passes the capacity that it rounded
    // the size up to.
    const std::size_t length = header->payload_length;
    received.payload.resize_and_overwrite(length, [&](char* data, std::size_t) {
        std::memcpy(data, first.data() + sandbox::frame_header_size, early);
        return length;
    });
    for (std::size_t have = early; have < received.payload.size();) {
        auto rest = std::as_writable_bytes(std::span(received.payload)).subspan(have);
        auto count = co_await uring::receive(control_.get(), rest, until, MSG_WAITALL);
        if (!count) {
            co_return propagate(count);
        }
        if (*count == 0) {
            co_return fail(errc::closed, "the process ended");
        }
        have += *count;
    }
    co_return received;
}

// Kills the sandbox and tells why its answer did not come.
task<faas::outcome> warm_sandbox::explain_failure(error reason, bool starting) {
    healthy_ = false;
    if (reason.code == errc::deadline_exceeded) {
        manager_.kill(id_);
        [[maybe_unused]] const auto gone = co_await events_.ended.wait(after(exit_wait));
        const double limit_s = starting ? static_cast<double>(init_timeout.count())
                                        : static_cast<double>(target_->timeout_ms) / 1000;
        char text[64];
        std::snprintf(text, sizeof text, "%s timed out after %.2f seconds",
                      starting ? "Init" : "Task", limit_s);
        co_return failure_outcome(faas::error_type::timed_out, text);
    }
    if (reason.code == errc::protocol || reason.code == errc::too_large) {
        manager_.kill(id_);
        co_return failure_outcome(faas::error_type::protocol_violation, std::move(reason.message));
    }
    // The stream ended: so did the process, unless it only closed its end and goes on.
    auto gone = co_await events_.ended.wait(after(self_exit_wait));
    if (!gone) {
        manager_.kill(id_);
        [[maybe_unused]] const auto ended = co_await events_.ended.wait(after(exit_wait));
        co_return failure_outcome(faas::error_type::exited,
                                  "Runtime exited without providing a reason");
    }
    co_return exit_outcome();
}

faas::outcome warm_sandbox::exit_outcome() const {
    if (!events_.exit) {
        return failure_outcome(faas::error_type::exited,
                               "Runtime exited without providing a reason");
    }
    if (killed_) {
        return failure_outcome(faas::error_type::exited, "ended by Hearth, which is shutting down");
    }
    const sandbox::exited_packet& exit = *events_.exit;
    if (exit.oom_kills > 0) {
        return failure_outcome(faas::error_type::out_of_memory,
                               concat("Runtime exited: out of memory at the limit of ",
                                      target_->memory_mb, " MB; give the function more memoryMb"));
    }
    if (exit.kind == sandbox::exit_kind::signal) {
        const char* name = ::sigabbrev_np(exit.value);
        return failure_outcome(faas::error_type::crashed,
                               concat("Runtime exited with error: signal ", exit.value, " (SIG",
                                      name == nullptr ? "?" : name, ")"));
    }
    return failure_outcome(faas::error_type::exited,
                           concat("Runtime exited with error: exit status ", exit.value));
}

std::int64_t warm_sandbox::memory_peak_mb() const {
    constexpr std::int64_t bytes_per_mb = 1 << 20;
    if (events_.exit) {
        return static_cast<std::int64_t>(events_.exit->memory_peak_bytes) / bytes_per_mb;
    }
    char text[32];
    const ssize_t count =
        events_.memory_peak ? ::pread(events_.memory_peak.get(), text, sizeof text, 0) : 0;
    std::int64_t bytes = 0;
    std::from_chars(text, text + std::max<ssize_t>(count, 0), bytes);
    return (bytes + bytes_per_mb - 1) / bytes_per_mb;
}

}  // namespace hearth::worker
