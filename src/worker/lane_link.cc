#include "worker/lane_link.h"

#include <algorithm>
#include <utility>

#include "faas/function_codec.h"

namespace hearth::worker {
namespace {

bool within_limits(const lane::end& head) {
    return std::ranges::equal(head.section_bytes, lane::end_section_bytes_max, std::less_equal<>());
}

faas::outcome too_long() {
    faas::outcome end;
    end.error_type = faas::error_type::response_too_large;
    end.error_message = "The outcome is over the limits of what a worker can report.";
    end.failure = faas::failure_kind::result_too_large;
    return end;
}

}  // namespace

// A call from its invoke frame until it is answered, or, once it has started, until it has ended.
struct lane_link::carried final : faas::start_watcher {
    std::uint64_t stream = 0;
    faas::invocation what;
    deadline until = never;
    std::optional<lane::incoming_body> event;
    lane_link* home = nullptr;  // null once the lane is lost
    scope* running = nullptr;
    bool started = false;
    bool withdrawn = false;
    epoch_ms came_at = wall_clock_ms();
    result<faas::outcome> end = fail(errc::internal, "no outcome");

    void on_started() noexcept override {
        started = true;
        if (home != nullptr) {
            home->out().send(lane::frame_type::started, stream);
        }
    }
    void withdraw() {
        withdrawn = true;
        if (running != nullptr && !started) {
            running->request_stop();
        }
    }
};

lane_link::lane_link(lane_surroundings around, std::unique_ptr<net::stream> link,
                     lane::connection_options options)
    : connection(std::move(link), lane::side::worker, options),
      around_(around),
      defined_(lane::definitions_max) {}

lane_link::~lane_link() = default;

task<error> lane_link::run(std::string token, std::string worker_id) {
    out().send(lane::hello{.token = token, .worker_id = worker_id});
    scope telling;
    telling.spawn(tell_regularly());
    error why = co_await serve();
    telling.request_stop();
    co_await telling.join();
    for (auto& [stream, call] : std::exchange(carried_, {})) {
        call->home = nullptr;
        call->event.reset();
        call->withdraw();
    }
    around_.answered.notify_all();
    co_return why;
}

task<void> lane_link::tell_regularly() {
    auto begun = co_await greeted_.wait();
    while (begun) {
        out().send(lane::frame_type::report, faas::to_json(around_.host.report()));
        tell_credit();
        tell_warm();
        begun = co_await sleep_until(after(report_interval_));
    }
}

void lane_link::tell_credit() {
    if (!greeted()) {
        return;
    }
    const std::uint32_t window =
        around_.draining ? 0 : std::min(around_.host.window(), lane::credits_max);
    if (told_window_ != window) {
        told_window_ = window;
        out().send(lane::credit{.window = window});
    }
}

// What differs from what was told.
void lane_link::tell_warm() {
    auto before = std::exchange(told_warm_, {});
    for (auto& each : around_.host.idle_by_revision()) {
        faas::revision_key key{std::move(each.function_id), each.revision};
        const auto told = before.find(key);
        if (told == before.end() || told->second != each.count) {
            out().send(lane::warm{.idle = static_cast<std::uint32_t>(each.count),
                                  .revision = key.revision,
                                  .function_id = key.function_id});
        }
        if (told != before.end()) {
            before.erase(told);
        }
        told_warm_.emplace(std::move(key), each.count);
    }
    for (const auto& [key, idle] : before) {
        if (idle > 0) {
            out().send(
                lane::warm{.idle = 0, .revision = key.revision, .function_id = key.function_id});
        }
    }
}

result<> lane_link::handle_frame(const lane::frame_header& header, std::string_view payload) {
    using enum lane::frame_type;
    if (!greeted() && header.type != welcome && header.type != goodbye) {
        return fail(errc::protocol, "a frame before welcome");
    }
    switch (header.type) {
        case welcome:
            return on_welcome(payload);
        case goodbye:
            return on_goodbye(payload);
        case heard:
            return {};
        case define:
            return on_define(payload);
        case retire:
            return on_retire(payload);
        case invoke:
            return on_invoke(header.stream, payload);
        case cancel:
            return on_cancel(header.stream);
        case window: {
            auto said = lane::decode<lane::window>(payload);
            if (!said) {
                return propagate(said);
            }
            if (!out().widen(header.stream, said->bytes)) {
                return fail(errc::protocol, "a window for more than there is to send");
            }
            return {};
        }
        default:
            return fail(errc::protocol, "a frame where it has no place");
    }
}

result<> lane_link::on_welcome(std::string_view payload) {
    auto said = lane::decode<lane::welcome>(payload);
    if (!said) {
        return propagate(said);
    }
    if (greeted()) {
        return fail(errc::protocol, "a second welcome");
    }
    if (said->version != lane::protocol_version) {
        return fail(errc::protocol,
                    "the controller speaks another version of the lane; install "
                    "the same release of Hearth on both");
    }
    report_interval_ = milliseconds(said->report_interval_ms);
    greeted_.set();
    note("the lane to the controller is open", {{"controller", peer()}});
    return {};
}

result<> lane_link::on_goodbye(std::string_view payload) {
    auto said = lane::decode<lane::goodbye>(payload);
    if (!said) {
        return propagate(said);
    }
    farewell_ = said->reason;
    end({errc::closed, std::string(said->text), 0});
    return {};
}

result<> lane_link::on_define(std::string_view payload) {
    auto said = lane::decode<lane::define>(payload);
    if (!said) {
        return propagate(said);
    }
    auto function = faas::decode_function(said->function);
    if (!function) {
        return fail(errc::protocol, function.error().message);
    }
    defined_[said->slot] = std::make_shared<const faas::function>(std::move(*function));
    return {};
}

result<> lane_link::on_retire(std::string_view payload) {
    auto said = lane::decode<lane::retire>(payload);
    if (!said) {
        return propagate(said);
    }
    around_.invoker.retire(said->function_id, said->current_revision);
    return {};
}

result<> lane_link::on_invoke(std::uint64_t stream, std::string_view payload) {
    auto said = lane::decode<lane::invoke>(payload);
    if (!said) {
        return propagate(said);
    }
    if (stream <= last_stream_) {
        return fail(errc::protocol, "an invocation on a stream that was used before");
    }
    last_stream_ = stream;
    if (defined_[said->slot] == nullptr) {
        return fail(errc::protocol, "an invocation of a function that was not defined");
    }
    if (carried_.size() >= lane::credits_max) {
        return fail(errc::protocol, "more invocations than there were credits");
    }
    auto call = std::make_shared<carried>();
    call->stream = stream;
    call->what.job_id = said->job_id;
    call->what.request_id = said->request_id;
    call->what.target = defined_[said->slot];
    call->what.watcher = call.get();
    call->home = this;
    if (said->wait_ms != lane::invoke::no_deadline) {
        call->until = after(milliseconds(said->wait_ms));
    }
    using section = lane::incoming_body::section;
    call->event.emplace(stream,
                        std::initializer_list<section>{{&call->what.event, said->event_bytes}},
                        around_.events, out());
    carried_.emplace(stream, call);
    if (call->event->complete()) {
        begin(call);
    }
    return {};
}

result<> lane_link::on_cancel(std::uint64_t stream) {
    const auto found = carried_.find(stream);
    if (found != carried_.end()) {
        found->second->withdraw();
    } else if (stream > last_stream_) {
        return fail(errc::protocol, "a cancellation of a stream that was never open");
    }
    return {};  // otherwise it crossed with the answer
}

result<> lane_link::handle_data(std::uint64_t stream, std::string_view piece) {
    const auto found = carried_.find(stream);
    if (found == carried_.end() || !found->second->event) {
        return fail(errc::protocol, "a body without its head");
    }
    const std::shared_ptr<carried> call = found->second;
    if (auto taken = call->event->take(piece); !taken) {
        return taken;
    }
    if (call->event->complete()) {
        begin(call);
    }
    return {};
}

// The event is complete: only now is a call refused, so that no body is left half sent.
void lane_link::begin(const std::shared_ptr<carried>& call) {
    call->event.reset();
    if (around_.draining || call->withdrawn) {
        call->end = call->withdrawn ? fail(errc::cancelled, "the call was cancelled")
                                    : fail(errc::unavailable, "the worker is shutting down");
    } else if (around_.calls.spawn(run_call(around_, call))) {
        return;
    } else {
        call->end = fail(errc::limit_exceeded, "too many calls run on this worker");
    }
    answer(*call);
}

task<void> lane_link::run_call(lane_surroundings around, std::shared_ptr<carried> call) {
    scope running;
    running.spawn(invoke(around.invoker, *call));
    call->running = &running;
    if (call->withdrawn) {
        running.request_stop();
    }
    co_await running.join();
    call->running = nullptr;
    if (call->home != nullptr) {
        call->home->answer(*call);
    } else if (call->started && call->end && around.recorder != nullptr) {
        // What had not started, the controller has given to another worker.
        co_await around.recorder->record(record_of(*call));
    }
}

faas::invocation_record lane_link::record_of(carried& call) {
    faas::invocation_record out;
    out.job_id = call.what.job_id;
    out.request_id = call.what.request_id;
    out.function_id = call.what.target->id;
    out.attempts = 1;
    out.created_at = call.came_at;
    out.updated_at = wall_clock_ms();
    out.end = std::move(*call.end);
    out.status = out.end.status;
    return out;
}

task<void> lane_link::invoke(faas::invoker& invoker, carried& call) {
    call.end = co_await invoker.invoke(call.what, call.until);
}

void lane_link::answer(carried& call) {
    if (call.end) {
        answer_outcome(call, std::move(*call.end));
    } else {
        out().send(lane::refused{.reason = lane::reason_of(call.end.error().code),
                                 .text = call.end.error().message},
                   call.stream);
    }
    close_stream(call.stream);
    tell_credit();
}

void lane_link::answer_outcome(carried& call, faas::outcome end) {
    const std::uint32_t idle = around_.host.idle_of(*call.what.target);
    const faas::function& target = *call.what.target;
    if (const auto told = told_warm_.find(target); told != told_warm_.end()) {
        told->second = idle;
    } else {
        told_warm_.emplace(faas::revision_key{target.id, target.revision}, idle);
    }
    auto kept = std::make_shared<const faas::outcome>(std::move(end));
    lane::end head = lane::head_of(*kept, idle);
    if (!within_limits(head)) {
        kept = std::make_shared<const faas::outcome>(too_long());
        head = lane::head_of(*kept, idle);
    }
    out().send(head, call.stream);
    out().send_body(call.stream, {.parts = {kept->error_message, kept->result_json,
                                            kept->stack_trace_json, kept->logs},
                                  .keeper = kept});
}

void lane_link::close_stream(std::uint64_t stream) {
    carried_.erase(stream);
    if (carried_.empty()) {
        around_.answered.notify_all();
    }
}

}  // namespace hearth::worker
