#include "ctrl/lane_session.h"

#include <algorithm>
#include <utility>

#include "base/concat.h"
#include "ctrl/lane_hub.h"
#include "faas/function_codec.h"

namespace hearth::ctrl {
namespace {

namespace wire = hearth::lane;

std::uint32_t wait_ms_until(deadline until) {
    if (until == never) {
        return wire::invoke::no_deadline;
    }
    const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now()).count();
    return static_cast<std::uint32_t>(
        std::clamp<std::int64_t>(left, 0, wire::invoke::no_deadline - 1));
}

}  // namespace

lane_session::lane_session(lane_hub& hub, std::unique_ptr<net::stream> link,
                           wire::connection_options options)
    : connection(std::move(link), wire::side::controller, options), hub_(hub) {}

lane_session::~lane_session() = default;

task<void> lane_session::run() {
    scope watching;
    watching.spawn(expire_hello());
    const error why = co_await serve();
    watching.request_stop();
    co_await watching.join();
    if (greeted()) {
        note("a lane ended", {{"workerId", worker_id_},
                              {"peer", peer()},
                              {"callsLost", lost_},
                              {"reason", why.message}});
        hub_.left(*this);
    }
}

task<void> lane_session::expire_hello() {
    auto said = co_await greeted_.wait(after(hub_.hello_wait()));
    if (!said && said.error().code == errc::deadline_exceeded && !over()) {
        hub_.note_refusal(peer(), "no hello came");
        end({errc::deadline_exceeded, "no hello came", 0});
    }
}

void lane_session::on_mute() noexcept {
    hub_.scheduler().set_window(*this, 0);
}

void lane_session::on_over() noexcept {
    hub_.scheduler().set_window(*this, 0);
    lose_all();
}

std::optional<std::uint32_t> lane_session::slot_of(const faas::function& target) {
    if (!defined_.empty() && faas::revision_view(defined_.front().key) == target) {
        return defined_.front().slot;
    }
    if (const auto found = slots_.find(target); found != slots_.end()) {
        defined_.splice(defined_.begin(), defined_, found->second);
        return found->second->slot;
    }
    const std::string text = faas::encode(target);
    if (text.size() > wire::definition_bytes_max) {
        return std::nullopt;
    }
    auto slot = static_cast<std::uint32_t>(defined_.size());
    if (slot == wire::definitions_max) {
        // Invocations that run know their function already: the slot is free for another.
        slot = defined_.back().slot;
        slots_.erase(slots_.find(defined_.back().key));
        defined_.pop_back();
    }
    defined_.push_front({{target.id, target.revision}, slot});
    slots_.emplace(defined_.front().key, defined_.begin());
    out().send(wire::define{.slot = slot, .function = text});
    return slot;
}

void lane_session::carry(const std::shared_ptr<lane_call>& call) {
    const faas::invocation& asked = *call->asked;
    call->carrier = shared_from_this();
    call->stream = ++last_stream_;
    call->at = lane_call::stage::sent;
    carried& entry = carried_.try_emplace(call->stream, call).first->second;
    const auto slot = slot_of(*asked.target);
    if (!slot) {
        call->refusal = error{errc::internal, "the function's definition is over the lane's limit"};
        finish(entry);
        return;
    }
    out().send(wire::invoke{.slot = *slot,
                            .event_bytes = static_cast<std::uint32_t>(asked.event.size()),
                            .wait_ms = wait_ms_until(call->until),
                            .job_id = asked.job_id,
                            .request_id = asked.request_id},
               call->stream);
    out().send_body(call->stream, {.parts = {asked.event}, .keeper = nullptr});
}

task<void> lane_session::give_up(std::shared_ptr<lane_call> call) {
    if (call->at != lane_call::stage::ended && !mute()) {
        out().send(wire::frame_type::cancel, call->stream);
    }
    call->asked = nullptr;
    co_await out().settle(call->stream);
}

void lane_session::retire(std::string_view function_id, std::int64_t current_revision) {
    out().send(wire::retire{.current_revision = current_revision, .function_id = function_id});
}

result<> lane_session::handle_frame(const wire::frame_header& header, std::string_view payload) {
    using enum wire::frame_type;
    if (!greeted() && header.type != hello && header.type != goodbye) {
        return fail(errc::protocol, "a frame before hello");
    }
    switch (header.type) {
        case hello:
            return on_hello(payload);
        case goodbye:
            return on_goodbye(payload);
        case report:
            return on_report(payload);
        case credit:
            return on_credit(payload);
        case warm:
            return on_warm(payload);
        default:
            return on_stream(header, payload);
    }
}

result<> lane_session::on_hello(std::string_view payload) {
    if (greeted()) {
        return fail(errc::protocol, "a second hello");
    }
    auto said = wire::decode<wire::hello>(payload);
    if (!said) {
        return propagate(said);
    }
    if (said->version != wire::protocol_version) {
        const std::string text =
            concat("the worker speaks version ", said->version, " of the lane, the controller ",
                   wire::protocol_version, "; install the same release of Hearth on both");
        hub_.note_refusal(peer(), text);
        leave(wire::goodbye_reason::wrong_version, text);
        return {};
    }
    if (!hub_.admits(said->token)) {
        constexpr std::string_view text =
            "the controller does not know this WORKER_TOKEN; set the same on both";
        hub_.note_refusal(peer(), text);
        leave(wire::goodbye_reason::wrong_token, text);
        return {};
    }
    worker_id_ = said->worker_id;
    if (!hub_.joined(*this)) {
        worker_id_.clear();
        const std::string text = concat("the controller has ", hub_.lanes_max(),
                                        " lanes, as many as it takes; add a controller");
        hub_.note_refusal(peer(), text);
        leave(wire::goodbye_reason::limit, text);
        return {};
    }
    greeted_.set();
    note("a lane began", {{"workerId", worker_id_}, {"peer", peer()}});
    out().send(wire::welcome{.report_interval_ms = hub_.report_interval_ms()});
    return {};
}

result<> lane_session::on_goodbye(std::string_view payload) {
    auto said = wire::decode<wire::goodbye>(payload);
    if (!said) {
        return propagate(said);
    }
    end({errc::closed, concat("the worker said goodbye: ", said->text), 0});
    return {};
}

result<> lane_session::on_report(std::string_view payload) {
    auto report = faas::parse_worker_report(payload);
    if (!report) {
        return fail(errc::protocol, report.error().message);
    }
    hub_.reported(std::move(*report));
    out().send(wire::frame_type::heard);
    return {};
}

result<> lane_session::on_credit(std::string_view payload) {
    auto said = wire::decode<wire::credit>(payload);
    if (!said) {
        return propagate(said);
    }
    if (!mute()) {
        hub_.scheduler().set_window(*this, said->window);
        hub_.dispatch();
    }
    return {};
}

result<> lane_session::on_warm(std::string_view payload) {
    auto said = wire::decode<wire::warm>(payload);
    if (!said) {
        return propagate(said);
    }
    hub_.scheduler().set_warm(*this, said->function_id, said->revision, said->idle);
    return {};
}

result<> lane_session::on_stream(const wire::frame_header& header, std::string_view payload) {
    const auto found = carried_.find(header.stream);
    if (found == carried_.end()) {
        return fail(errc::protocol, "a frame of a stream that is not open");
    }
    carried& entry = found->second;
    if (entry.body) {
        return fail(errc::protocol, "a frame after the end of its stream");
    }
    switch (header.type) {
        case wire::frame_type::started:
            if (entry.call->at != lane_call::stage::sent) {
                return fail(errc::protocol, "a stream that started twice");
            }
            entry.call->at = lane_call::stage::started;
            entry.call->was_started = true;
            hub_.note_started();
            return {};
        case wire::frame_type::window: {
            auto said = wire::decode<wire::window>(payload);
            if (!said) {
                return propagate(said);
            }
            if (!out().widen(header.stream, said->bytes)) {
                return fail(errc::protocol, "a window for more than there is to send");
            }
            return {};
        }
        case wire::frame_type::end:
            return on_end(entry, payload);
        case wire::frame_type::refused:
            return on_refused(entry, payload);
        default:
            return fail(errc::protocol, "a frame where it has no place");
    }
}

result<> lane_session::on_end(carried& entry, std::string_view payload) {
    auto head = wire::decode<wire::end>(payload);
    if (!head) {
        return propagate(head);
    }
    hub_.scheduler().set_warm(*this, *entry.call, head->idle);
    entry.outcome = wire::outcome_of(*head);
    faas::outcome& into = entry.outcome;
    using section = wire::incoming_body::section;
    entry.body.emplace(
        entry.call->stream,
        std::initializer_list<section>{{&into.error_message, head->section_bytes[0]},
                                       {&into.result_json, head->section_bytes[1]},
                                       {&into.stack_trace_json, head->section_bytes[2]},
                                       {&into.logs, head->section_bytes[3]}},
        hub_.budget(), out());
    if (entry.body->complete()) {
        entry.call->end = std::move(into);
        finish(entry);
    }
    return {};
}

result<> lane_session::on_refused(carried& entry, std::string_view payload) {
    auto said = wire::decode<wire::refused>(payload);
    if (!said) {
        return propagate(said);
    }
    if (entry.call->at == lane_call::stage::started) {
        return fail(errc::protocol, "a stream refused after it started");
    }
    entry.call->refusal = error{wire::code_of(said->reason), std::string(said->text), 0};
    entry.call->add_refusal(*this);
    finish(entry);
    return {};
}

result<> lane_session::handle_data(std::uint64_t stream, std::string_view piece) {
    const auto found = carried_.find(stream);
    if (found == carried_.end() || !found->second.body) {
        return fail(errc::protocol, "a body without its head");
    }
    carried& entry = found->second;
    if (auto taken = entry.body->take(piece); !taken) {
        return taken;
    }
    if (entry.body->complete()) {
        entry.call->end = std::move(entry.outcome);
        finish(entry);
    }
    return {};
}

void lane_session::finish(carried& entry) {
    const std::shared_ptr<lane_call> call = std::move(entry.call);
    carried_.erase(call->stream);
    call->at = lane_call::stage::ended;
    hub_.scheduler().ended(*this, *call);
    call->changed.notify_all();
    hub_.dispatch();
}

// Of their texts, a write may still send what was on its way: give_up() awaits that.
void lane_session::lose_all() {
    lost_ = carried_.size();
    for (auto& [stream, entry] : std::exchange(carried_, {})) {
        lane_call& call = *entry.call;
        call.at = lane_call::stage::ended;
        hub_.scheduler().ended(call);
        call.changed.notify_all();
    }
}

}  // namespace hearth::ctrl
