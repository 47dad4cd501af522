#include "ctrl/lane_invoker.h"

#include <algorithm>
#include <utility>

#include "base/concat.h"
#include "base/ids.h"
#include "base/log.h"

namespace hearth::ctrl {
namespace {

faas::outcome lost_outcome() {
    faas::outcome end;
    end.error_type = faas::error_type::worker_lost;
    end.error_message =
        "The worker was lost while the function ran; what it has done is not known.";
    end.failure = faas::failure_kind::worker_lost;
    return end;
}

// It runs on, and its worker records how it ends.
faas::outcome open_outcome() {
    faas::outcome end;
    end.status = faas::invocation_status::running;
    end.recorded = true;
    return end;
}

}  // namespace

struct lane_invoker::attempt {
    const faas::invocation& asked;
    deadline until;
    std::shared_ptr<lane_call> call;
    int sends = 0;
    result<faas::outcome> answer = fail(errc::internal, "no outcome");
};

task<result<faas::outcome>> lane_invoker::invoke(const faas::invocation& call, deadline until) {
    const bool fits = call.event.size() <= faas::payload_bytes_max &&
                      is_well_formed_id(call.job_id) && is_well_formed_id(call.request_id);
    attempt mine{.asked = call, .until = until, .call = std::make_shared<lane_call>(call, until)};
    way next = fits ? way::again : way::otherwise;
    while (next == way::again) {
        next = co_await try_lanes(mine);
    }
    if (next == way::answered) {
        co_return std::move(mine.answer);
    }
    ++statistics_.fell_back;
    co_return co_await otherwise_.invoke(call, until);
}

task<lane_invoker::way> lane_invoker::try_lanes(attempt& mine) {
    lane_call& call = *mine.call;
    if (mine.sends >= sends_max || !hub_.scheduler().has_lane_for(call) ||
        !hub_.enqueue(mine.call)) {
        co_return way::otherwise;
    }
    result<> got;
    if (call.at == lane_call::stage::waiting) {
        got = co_await wait_for_credit(call, std::min(mine.until, after(options_.credit_wait_max)));
    }
    if (!got) {
        hub_.withdraw(call);
        if (got.error().code == errc::deadline_exceeded && steady_clock::now() < mine.until) {
            co_return way::otherwise;
        }
        mine.answer = propagate(got);
        co_return way::answered;
    }
    ++mine.sends;
    auto ended = co_await wait_for_end(call);
    // The lane may still read the event, even where its worker has answered.
    const auto carrier = call.carrier;
    const bool copied = mine.asked.event.size() <= hearth::lane::outbox::body_bytes_copied;
    if (carrier != nullptr && (call.at != lane_call::stage::ended || !copied)) {
        co_await carrier->give_up(mine.call);
    }
    if (!ended && !call.end) {
        // Nobody else looks at this call: the session keeps it until its worker has answered.
        if (call.was_started && ended.error().code == errc::deadline_exceeded) {
            ++statistics_.lost;
            mine.answer = lost_outcome();
        } else {
            mine.answer = propagate(ended);
        }
        co_return way::answered;
    }
    co_return judge(mine);
}

task<result<>> lane_invoker::wait_for_credit(lane_call& call, deadline until) {
    while (call.at == lane_call::stage::waiting) {
        auto woken = co_await call.changed.wait(until);
        if (!woken && call.at == lane_call::stage::waiting) {
            co_return woken;
        }
    }
    co_return result<>{};
}

// Nobody is woken when it starts: whether it has is seen when it should have ended.
task<result<>> lane_invoker::wait_for_end(lane_call& call) {
    const nanoseconds longest = milliseconds(call.asked->target->timeout_ms) + end_slack;
    deadline until = call.until == never ? after(longest) : call.until + answer_slack;
    bool start_seen = false;
    while (call.at != lane_call::stage::ended) {
        auto woken = co_await call.changed.wait(until);
        if (woken || call.at == lane_call::stage::ended) {
            continue;
        }
        const bool given_up = call.at == lane_call::stage::started ? std::exchange(start_seen, true)
                                                                   : call.until != never;
        if (given_up || woken.error().code != errc::deadline_exceeded) {
            co_return woken;
        }
        until = after(longest);
    }
    co_return result<>{};
}

bool lane_invoker::is_final(const error& refusal) const noexcept {
    return refusal.code == errc::deadline_exceeded ||
           (options_.same_worker_otherwise &&
            (refusal.code == errc::limit_exceeded || refusal.code == errc::unavailable));
}

lane_invoker::way lane_invoker::judge(attempt& mine) {
    lane_call& call = *mine.call;
    if (call.end) {
        ++statistics_.answered;
        mine.answer = std::move(*call.end);
        return way::answered;
    }
    if (call.refusal) {
        if (is_final(*call.refusal)) {
            mine.answer = std::unexpected(std::move(*call.refusal));
            return way::answered;
        }
    } else if (call.was_started && leaving_) {
        ++statistics_.left;
        mine.answer = open_outcome();
        return way::answered;
    } else if (call.was_started) {
        ++statistics_.lost;
        log::warning("a worker was lost while it ran a call", {{"jobId", mine.asked.job_id}});
        mine.answer = lost_outcome();
        return way::answered;
    }
    // It has not started. A worker that refused it is not asked again.
    ++statistics_.resent;
    auto next = std::make_shared<lane_call>(mine.asked, mine.until);
    next->inherit_refusals(call);
    mine.call = std::move(next);
    return way::again;
}

void lane_invoker::retire(std::string_view function_id, std::int64_t current_revision) {
    hub_.retire(function_id, current_revision);
    otherwise_.retire(function_id, current_revision);
}

}  // namespace hearth::ctrl
