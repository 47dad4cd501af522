#include <algorithm>

#include "base/log.h"
#include "sandbox/daemon.h"

// The pool of sandboxes that were made before anybody asked for them.

namespace hearth::sandbox {
namespace {

constexpr milliseconds refill_pause_min{1'000};  // after a failure
constexpr milliseconds refill_pause_max{60'000};
// So many of each kind are made one right after the other; then the pool takes one part of
// `refill_share` of a processor's time until it is full.
constexpr std::size_t made_at_once = 4;
constexpr int refill_share = 20;

}  // namespace

// One at a time, and none while a request waits for a slot. Parked ones first: they save most. Each
// of them begins as a shell while there is a zygote that all functions share. Else it executes
// Python: nobody knows yet whose it will be.
daemon::pool_step daemon::next_pool_step() const {
    if (!socket_open_ || making_ahead_ || spawner_.zygotes().starting() || !waiting_.empty()) {
        return pool_step::none;
    }
    const bool has_zygote = spawner_.zygotes().serves();
    const bool lacks_parked = parked_slots_.size() < parked_target_;
    const bool forks_parked = has_zygote && spawner_.zygotes().parks();
    if (lacks_parked && forks_parked && !shell_slots_.empty()) {
        return pool_step::fork_into_shell;
    }
    if (!table_.has_free_slot()) {
        return pool_step::none;
    }
    if (lacks_parked && !forks_parked) {
        return pool_step::program;
    }
    if (has_zygote) {
        return lacks_parked || shell_slots_.size() < shells_target_ ? pool_step::shell
                                                                    : pool_step::none;
    }
    return pool_step::none;
}

int daemon::milliseconds_to_refill() const {
    if (next_pool_step() == pool_step::none) {
        return -1;
    }
    const auto left = std::chrono::ceil<milliseconds>(refill_at_ - steady_clock::now()).count();
    return static_cast<int>(std::max<std::int64_t>(left, 0));
}

result<> daemon::refill() {
    const pool_step next = next_pool_step();
    const steady_time now = steady_clock::now();
    if (next == pool_step::none || now < refill_at_) {
        return {};
    }
    if (next != pool_step::fork_into_shell) {
        return make_ahead(next == pool_step::shell ? start_way::zygote : start_way::program);
    }
    sandbox_entry& oldest = *table_.at_slot(shell_slots_.front());
    shell_slots_.erase(shell_slots_.begin());
    making_ahead_ = true;
    ++starting_;
    oldest.state = sandbox_state::starting;
    oldest.requested_at = now;
    oldest.process.zygote = spawner_.zygotes().take(zygote_family::standard, {});
    fork_python(oldest, true);
    return {};
}

result<> daemon::make_ahead(start_way way) {
    const std::uint32_t slot = *table_.take_slot();
    const steady_time began_at = steady_clock::now();
    auto started = spawner_.start(parked_limits(), slot, -1, way);
    if (!started) {
        table_.give_back_slot(slot);
        log::warning("a sandbox could not be made ahead",
                     {{"stage", started.error().stage}, {"error", started.error().cause.message}});
        delay_refill();
        return {};
    }
    making_ahead_ = true;
    ++starting_;
    return watch_sandbox(table_.insert({.slot = slot,
                                        .way = way,
                                        .process = std::move(*started),
                                        .requested_at = began_at,
                                        .began_at = began_at}));
}

result<> daemon::keep_shell(sandbox_entry& entry) {
    if (entry.state != sandbox_state::starting || entry.evicted) {
        return {};
    }
    --starting_;
    making_ahead_ = false;
    refill_pause_ = milliseconds(0);
    entry.state = sandbox_state::shell;
    shell_slots_.push_back(entry.slot);
    if (shell_slots_.size() >= made_at_once) {
        pace_refill(entry.requested_at);
    }
    return report_pool();
}

result<> daemon::park(sandbox_entry& entry) {
    entry.state = sandbox_state::parked;
    making_ahead_ = false;
    auto shown = entry.process.group.open_gauges();
    if (!shown) {
        fail_start(entry, {.stage = "gauges", .cause = shown.error()});
        return {};
    }
    entry.shown = std::move(*shown);
    refill_pause_ = milliseconds(0);
    parked_slots_.push_back(entry.slot);
    if (parked_slots_.size() >= made_at_once) {
        pace_refill(entry.requested_at);
    }
    return report_pool();
}

// What took longer because others need the processors is followed by a longer pause.
void daemon::pace_refill(steady_time began) {
    const steady_time now = steady_clock::now();
    refill_at_ = std::max(refill_at_, now + (now - began) * (refill_share - 1));
}

result<> daemon::report_pool() {
    pool_packet pool;
    pool.parked = static_cast<std::uint32_t>(parked_slots_.size());
    zygote_was_ready_ = spawner_.zygotes().ready();
    zygotes_reported_ = spawner_.zygotes().count();
    pool.zygote = zygote_was_ready_ ? 1 : 0;
    pool.shells = static_cast<std::uint32_t>(shell_slots_.size());
    pool.zygotes = zygotes_reported_;
    parked_reported_ = pool.parked;
    shells_reported_ = pool.shells;
    return outbox_.send(bytes_of(pool));
}

// What was taken from the pool, once a turn: after the packets of those who took it.
result<> daemon::report_pool_change() {
    const bool changed = socket_open_ && (parked_slots_.size() != parked_reported_ ||
                                          shell_slots_.size() != shells_reported_);
    return changed ? report_pool() : result<>();
}

result<> daemon::handle_zygotes() {
    zygote_supply& zygotes = spawner_.zygotes();
    zygotes.dispatch();
    const bool changed =
        zygotes.ready() != zygote_was_ready_ || zygotes.count() != zygotes_reported_;
    return changed ? report_pool() : result<>();
}

// What has cost least goes first: a shell, then what is not ready yet, then the newest that is
// parked.
bool daemon::evict_one() {
    sandbox_entry* victim = nullptr;
    if (!shell_slots_.empty()) {
        victim = table_.at_slot(shell_slots_.back());
        shell_slots_.pop_back();
    } else if (making_ahead_) {
        victim = table_.find_if([](const sandbox_entry& entry) {
            return entry.id == 0 && entry.state == sandbox_state::starting && !entry.evicted;
        });
    }
    if (victim == nullptr && !parked_slots_.empty()) {
        victim = table_.at_slot(parked_slots_.back());
        parked_slots_.pop_back();
    }
    if (victim == nullptr) {
        return false;
    }
    victim->evicted = true;
    kill(*victim);
    return true;
}

void daemon::note_pooled_end(const sandbox_entry& entry) {
    if (entry.evicted || !socket_open_) {
        return;
    }
    log::warning("a sandbox that was made ahead ended by itself",
                 {{"stage", entry.failure ? text_of(entry.failure->stage) : "waiting"},
                  {"errno", entry.failure ? entry.failure->value : 0}});
    delay_refill();
}

void daemon::delay_refill() {
    refill_pause_ = std::clamp(refill_pause_ * 2, refill_pause_min, refill_pause_max);
    refill_at_ = steady_clock::now() + refill_pause_;
}

}  // namespace hearth::sandbox
