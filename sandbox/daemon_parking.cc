#include <algorithm>

#include "base/log.h"
#include "sandbox/daemon.h"

// The pool of sandboxes that were made before anybody asked for them.

namespace hearth::sandbox {
namespace {

constexpr milliseconds park_pause_min{1'000};  // after a failure
constexpr milliseconds park_pause_max{60'000};

}  // namespace

// One at a time, and none while a request waits for a slot.
bool daemon::wants_parking() const {
    return socket_open_ && !parking_ && !spawner_.zygotes().starting() && waiting_.empty() &&
           parked_slots_.size() < parked_target_ && table_.has_free_slot();
}

int daemon::milliseconds_to_parking() const {
    if (!wants_parking()) {
        return -1;
    }
    const auto left = std::chrono::ceil<milliseconds>(park_at_ - steady_clock::now()).count();
    return static_cast<int>(std::max<std::int64_t>(left, 0));
}

result<> daemon::refill() {
    const steady_time now = steady_clock::now();
    if (!wants_parking() || now < park_at_) {
        return {};
    }
    const std::uint32_t slot = *table_.take_slot();
    const start_way way = spawner_.zygotes().ready() ? start_way::zygote : start_way::program;
    auto started = spawner_.start(parked_limits(), slot, -1, way);
    if (!started) {
        table_.give_back_slot(slot);
        log::warning("a sandbox could not be parked",
                     {{"stage", started.error().stage}, {"error", started.error().cause.message}});
        delay_parking();
        return {};
    }
    parking_ = true;
    ++starting_;
    return watch_sandbox(table_.insert(
        {.slot = slot, .way = way, .process = std::move(*started), .requested_at = now}));
}

result<> daemon::park(sandbox_entry& entry) {
    entry.state = sandbox_state::parked;
    entry.shown = entry.process.group.open_gauges();
    parking_ = false;
    park_pause_ = milliseconds(0);
    parked_slots_.push_back(entry.slot);
    return report_pool();
}

result<> daemon::report_pool() {
    pool_packet pool;
    pool.parked = static_cast<std::uint32_t>(parked_slots_.size());
    pool.zygote = spawner_.zygotes().ready() ? 1 : 0;
    return outbox_.send(bytes_of(pool));
}

result<> daemon::handle_zygote(zygote_family family) {
    const bool was_ready = spawner_.zygotes().ready();
    spawner_.zygotes(family).dispatch();
    return !was_ready && spawner_.zygotes().ready() ? report_pool() : result<>();
}

// The newest goes: it has cost the least so far, and may not even be ready.
bool daemon::evict_parked() {
    sandbox_entry* victim = nullptr;
    if (parking_) {
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

void daemon::note_parked_end(const sandbox_entry& entry) {
    if (!entry.was_sealed) {
        parking_ = false;
    }
    if (entry.evicted || !socket_open_) {
        return;
    }
    log::warning("a parked sandbox ended by itself",
                 {{"stage", entry.failure ? text_of(entry.failure->stage) : "parked"},
                  {"errno", entry.failure ? entry.failure->value : 0}});
    delay_parking();
}

void daemon::delay_parking() {
    park_pause_ = std::clamp(park_pause_ * 2, park_pause_min, park_pause_max);
    park_at_ = steady_clock::now() + park_pause_;
}

}  // namespace hearth::sandbox
