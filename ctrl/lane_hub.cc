#include "ctrl/lane_hub.h"

#include <utility>

#include "base/concat.h"
#include "base/log.h"

namespace hearth::ctrl {
namespace {

constexpr milliseconds accept_pause{100};  // after a failure, so that it does not repeat at once

task<void> secure(std::unique_ptr<net::stream> link, std::shared_ptr<const net::tls_context> tls,
                  result<std::unique_ptr<net::stream>>& into) {
    into = co_await net::accept_tls(std::move(tls), std::move(link),
                                    after(lane_hub::handshake_wait_max));
}

}  // namespace

lane_hub::lane_hub(lane_hub_options options, std::function<void(faas::worker_report)> on_report,
                   std::function<void(const std::string&)> on_left)
    : options_(std::move(options)),
      on_report_(std::move(on_report)),
      on_left_(std::move(on_left)),
      key_(options_.token),
      scheduler_(options_.queues),
      budget_(options_.result_bytes_max) {}

lane_hub::~lane_hub() = default;

task<void> lane_hub::serve(net::listener& from, std::shared_ptr<const net::tls_context> tls) {
    for (;;) {
        auto accepted = co_await from.accept(never);
        if (accepted && !finishing_) {
            auto stranger = admit(**accepted);
            accepting_.spawn(greet(std::move(*accepted), tls, std::move(stranger)));
        } else if (accepted) {
            ++statistics_.refused;
            co_await (*accepted)->close();
        } else if (accepted.error().code == errc::closed ||
                   accepted.error().code == errc::cancelled) {
            co_return;
        } else {
            log::warning("a lane cannot be accepted", {{"reason", accepted.error().message}});
            if (!co_await sleep_until(after(accept_pause))) {
                co_return;
            }
        }
    }
}

// The place is taken at once: what comes next may want it before the stream is looked at.
lane_hub::guest lane_hub::admit(const net::stream& link) {
    const auto before = strangers_.dismissed();
    auto stranger = strangers_.enter(link.origin());
    if (strangers_.dismissed() > before) {
        note_refusal(stranger->origin(), "newer streams took the place of a silent one");
    }
    return stranger;
}

task<void> lane_hub::greet(std::unique_ptr<net::stream> link,
                           std::shared_ptr<const net::tls_context> tls, guest stranger) {
    if (tls != nullptr) {
        const std::string peer = link->peer();
        result<std::unique_ptr<net::stream>> secured = fail(errc::cancelled, "it was dismissed");
        scope handshake(co_await current_stop());
        stranger->dismiss = [&handshake] {
            handshake.request_stop();
        };
        if (stranger->dismissed()) {
            handshake.request_stop();
        }
        handshake.spawn(secure(std::move(link), std::move(tls), secured));
        co_await handshake.join();
        stranger->dismiss = nullptr;
        if (!secured) {
            strangers_.leave(*stranger);
            ++statistics_.refused;
            note_refusal(peer, concat("its TLS handshake failed: ", secured.error().message));
            co_return;
        }
        link = std::move(*secured);
    }
    tasks_.spawn(run_session(std::move(link), std::move(stranger)));
}

void lane_hub::take(std::unique_ptr<net::stream> link) {
    auto stranger = admit(*link);
    tasks_.spawn(run_session(std::move(link), std::move(stranger)));
}

task<void> lane_hub::run_session(std::unique_ptr<net::stream> link, guest stranger) {
    const auto made = std::make_shared<lane_session>(*this, std::move(link), options_.connection);
    lane_session& session = *made;
    sessions_.emplace(&session, hosted{made, stranger});
    const auto end = [&session] {
        session.end({errc::limit_exceeded, "newer streams took its place", 0});
    };
    stranger->dismiss = end;
    if (stranger->dismissed()) {
        end();
    }
    if (finishing_) {
        session.leave(hearth::lane::goodbye_reason::done, "the controller ends");
    }
    co_await session.run();
    stranger->dismiss = nullptr;
    strangers_.leave(*stranger);
    if (!session.greeted()) {
        ++statistics_.refused;
    }
    sessions_.erase(&session);
}

void lane_hub::note_refusal(std::string_view peer, std::string_view reason) {
    if (const auto left_out = refusals_.admit(steady_clock::now())) {
        log::warning("a lane was refused",
                     {{"peer", peer}, {"reason", reason}, {"suppressed", *left_out}});
    }
}

lane_hub_statistics lane_hub::statistics() const noexcept {
    lane_hub_statistics all = statistics_;
    all.crowded_out = strangers_.dismissed();
    return all;
}

bool lane_hub::joined(lane_session& fresh) {
    const auto found = by_worker_.find(fresh.worker_id());
    if (found != by_worker_.end()) {
        // The worker knows better than we do that its old lane is of no use.
        lane_session& old = *found->second;
        by_worker_.erase(found);
        scheduler_.remove(old);
        old.leave(hearth::lane::goodbye_reason::replaced, "the worker opened another lane");
    } else if (by_worker_.size() >= options_.lanes_max) {
        return false;
    }
    strangers_.leave(*sessions_.at(&fresh).stranger);
    ++statistics_.began;
    by_worker_.emplace(fresh.worker_id(), &fresh);
    scheduler_.add(fresh);
    return true;
}

void lane_hub::left(lane_session& gone) {
    const auto found = by_worker_.find(gone.worker_id());
    if (found == by_worker_.end() || found->second != &gone) {
        return;  // another lane of the worker took its place
    }
    by_worker_.erase(found);
    scheduler_.remove(gone);
    on_left_(gone.worker_id());
}

bool lane_hub::enqueue(const std::shared_ptr<lane_call>& call) {
    if (!scheduler_.enqueue(*call, steady_clock::now())) {
        return false;
    }
    call->at = lane_call::stage::waiting;
    call->self = call;
    dispatch();
    return true;
}

void lane_hub::withdraw(lane_call& call) {
    scheduler_.withdraw(call);
    call.self.reset();
}

void lane_hub::dispatch() {
    if (scheduler_.waiting() == 0) {
        return;
    }
    const steady_time now = steady_clock::now();
    while (auto chosen = scheduler_.next(now)) {
        const auto call = std::exchange(static_cast<lane_call&>(chosen->what).self, nullptr);
        ++statistics_.sent;
        static_cast<lane_session&>(chosen->where).carry(call);
        call->changed.notify_all();
    }
}

void lane_hub::retire(std::string_view function_id, std::int64_t current_revision) {
    scheduler_.retire(function_id, current_revision);
    for (const auto& [id, session] : by_worker_) {
        session->retire(function_id, current_revision);
    }
}

task<void> lane_hub::finish() {
    finishing_ = true;
    accepting_.request_stop();
    co_await accepting_.join();
    for (const auto& [session, hosted] : sessions_) {
        session->leave(hearth::lane::goodbye_reason::done, "the controller ends");
    }
    co_await tasks_.join();
}

}  // namespace hearth::ctrl
