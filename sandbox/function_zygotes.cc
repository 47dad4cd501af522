#include "sandbox/function_zygotes.h"

#include <algorithm>

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "base/log.h"
#include "sandbox/packet_socket.h"

namespace hearth::sandbox {
namespace {

constexpr milliseconds start_pause_min{1'000};  // after a zygote that died
constexpr milliseconds start_pause_max{60'000};
constexpr std::uint32_t failed_forks_max = 3;  // in a row
// Zygotes take one part in so many of a processor's time to start, however many functions come.
constexpr int start_share = 5;
// The start that takes a spare one is not disturbed by that of the next.
constexpr milliseconds quiet_before_start{20};

}  // namespace

result<function_zygotes> function_zygotes::make(unique_fd program, std::string python,
                                                std::span<const char* const> environment,
                                                function_zygote_settings settings) {
    function_zygotes made(make_zygote_origin(std::move(program), std::move(python), environment),
                          std::move(settings));
    made.epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    made.timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!made.epoll_ || !made.timer_) {
        return fail_errno("preparing the zygotes of functions");
    }
    if (auto ok = watch_readable(made.epoll_.get(), made.timer_.get()); !ok) {
        return propagate(ok);
    }
    made.dispatch();
    return made;
}

void function_zygotes::dispatch() {
    drain(timer_.get());
    std::erase_if(retired_, has_ended);
    look_at_new_ones();
    drop_dead_ones();
    retire_old_ones();
    start_spare();
    arm_timer();
}

void function_zygotes::look_at_new_ones() {
    const auto fresh = std::ranges::find(all_, false, &member::ready);
    if (fresh == all_.end()) {
        return;
    }
    const zygote_word said = read_word(fresh->process);
    const steady_time now = steady_clock::now();
    if (said == zygote_word::ready) {
        fresh->ready = true;
        was_ready_[static_cast<std::size_t>(fresh->family)] = true;
        fresh->used_at = now;
        start_pause_ = milliseconds(0);
        start_at_ =
            std::max(start_at_, now + (now - fresh->process.started_at) * (start_share - 1));
    } else if (said == zygote_word::refused) {
        // It said why. Trying again would not change the host, unless one was ready before: what
        // it lacks, memory for example, may come back.
        if (was_ready_[static_cast<std::size_t>(fresh->family)]) {
            delay_start();
        } else if (fresh->family == zygote_family::standard) {
            origin_.program.reset();
        } else {
            settings_.has_numpy = false;
        }
        retire(fresh->id);
    } else if (is_overdue(fresh->process)) {
        kill_zygote(fresh->process);
        retire(fresh->id);
        delay_start();
    }
}

void function_zygotes::drop_dead_ones() {
    const std::size_t dropped = std::erase_if(all_, [](const member& each) {
        if (!has_ended(each.process)) {
            return false;
        }
        log::warning("a zygote ended; its function's next sandboxes execute Python",
                     {{"process", each.process.process}, {"ready", each.ready}});
        return true;
    });
    if (dropped > 0) {
        delay_start();
    }
}

bool function_zygotes::is_worn_out(const member& which, steady_time now) const {
    return which.process.forks >= settings_.forks_max ||
           now - which.process.started_at >= settings_.age_max;
}

// A new one of a function is started, or a spare one taken, when the function needs it: most will
// not.
void function_zygotes::retire_old_ones() {
    const steady_time now = steady_clock::now();
    std::vector<std::uint64_t> old;
    for (const member& each : all_) {
        const bool unused =
            each.owner && each.sandboxes == 0 && now - each.used_at >= settings_.idle_max;
        if (each.ready && (unused || is_worn_out(each, now))) {
            old.push_back(each.id);
        }
    }
    for (const std::uint64_t each : old) {
        retire(each);
    }
}

bool function_zygotes::may_start() const {
    return origin_.program && !starting() && steady_clock::now() >= start_at_;
}

void function_zygotes::start_spare() {
    const auto spares = std::ranges::count_if(all_, [](const auto& each) { return !each.owner; });
    if (std::cmp_less(spares, settings_.spares) && may_start()) {
        start(zygote_family::standard, std::nullopt);
    }
}

void function_zygotes::start(zygote_family family, std::optional<function_key> owner) {
    auto launched = launch_zygote(
        origin_, family, settings_.modules[static_cast<std::size_t>(family)], epoll_.get());
    if (!launched) {
        log::warning("a zygote cannot be started", {{"error", launched.error().message}});
        delay_start();
        return;
    }
    all_.push_back({.id = ++last_id_,
                    .process = std::move(*launched),
                    .family = family,
                    .owner = owner,
                    .used_at = steady_clock::now()});
}

std::uint64_t function_zygotes::take(zygote_family family, const function_key& function) {
    if (function == function_key{}) {
        return 0;
    }
    if (const member* mine = own(family, function); mine != nullptr) {
        if (!mine->ready) {
            return 0;
        }
        if (!is_worn_out(*mine, steady_clock::now())) {
            return use(mine->id);
        }
        retire(mine->id);
    }
    if (family != zygote_family::standard) {
        if (settings_.has_numpy && may_start()) {
            make_room_for_one();
            start(family, function);
        }
        return 0;
    }
    const member* fresh = spare();
    if (fresh == nullptr) {
        return 0;
    }
    const std::uint64_t id = fresh->id;
    make_room_for_one();
    find(id)->owner = function;
    start_at_ = std::max(start_at_, steady_clock::now() + quiet_before_start);
    return use(id);
}

std::uint64_t function_zygotes::use(std::uint64_t zygote) {
    member& used = *find(zygote);
    ++used.sandboxes;
    used.used_at = steady_clock::now();
    arm_timer();
    return zygote;
}

bool function_zygotes::has_for(zygote_family family, const function_key& function) const {
    if (function == function_key{}) {
        return false;
    }
    const member* mine = own(family, function);
    if (mine != nullptr && !(mine->ready && is_worn_out(*mine, steady_clock::now()))) {
        return mine->ready;
    }
    return family == zygote_family::standard && spare() != nullptr;
}

bool function_zygotes::has_spare() const {
    return spare() != nullptr;
}

bool function_zygotes::serves() const {
    return std::ranges::any_of(all_, &member::ready);
}

bool function_zygotes::starting() const {
    return !std::ranges::all_of(all_, &member::ready);
}

// The one that was used longest ago goes. One of a function that is just starting counts as used.
void function_zygotes::make_room_for_one() {
    const auto owned =
        std::ranges::count_if(all_, [](const member& each) { return each.owner.has_value(); });
    if (std::cmp_less(owned, settings_.functions_max)) {
        return;
    }
    const member* oldest = nullptr;
    for (const member& each : all_) {
        if (each.owner && (oldest == nullptr || each.used_at < oldest->used_at)) {
            oldest = &each;
        }
    }
    retire(oldest->id);
}

// Requests that it has not read yet are served first.
void function_zygotes::retire(std::uint64_t zygote) {
    const auto found = std::ranges::find(all_, zygote, &member::id);
    found->process.socket.reset();
    retired_.push_back(std::move(found->process));
    all_.erase(found);
}

void function_zygotes::delay_start() {
    start_pause_ = std::clamp(start_pause_ * 2, start_pause_min, start_pause_max);
    start_at_ = steady_clock::now() + start_pause_;
}

void function_zygotes::arm_timer() const {
    steady_time at = never;
    const auto spares = std::ranges::count_if(all_, [](const auto& each) { return !each.owner; });
    if (origin_.program && !starting() && std::cmp_less(spares, settings_.spares)) {
        at = start_at_;
    }
    for (const member& each : all_) {
        if (!each.ready) {
            at = std::min(at, each.process.started_at + zygote_start_time_max);
            continue;
        }
        at = std::min(at, each.process.started_at + settings_.age_max);
        if (each.owner && each.sandboxes == 0) {
            at = std::min(at, each.used_at + settings_.idle_max);
        }
    }
    if (at == never) {
        disarm(timer_.get());
    } else {
        arm_at(timer_.get(), at);
    }
}

const function_zygotes::member* function_zygotes::own(zygote_family family,
                                                      const function_key& function) const {
    const auto found = std::ranges::find_if(
        all_, [&](const member& each) { return each.owner == function && each.family == family; });
    return found == all_.end() ? nullptr : &*found;
}

const function_zygotes::member* function_zygotes::spare() const {
    const auto found =
        std::ranges::find_if(all_, [](const member& each) { return each.ready && !each.owner; });
    return found == all_.end() ? nullptr : &*found;
}

function_zygotes::member* function_zygotes::find(std::uint64_t zygote) {
    const auto found = std::ranges::find(all_, zygote, &member::id);
    return found == all_.end() ? nullptr : &*found;
}

result<> function_zygotes::fork(std::uint64_t zygote, const fork_request& request,
                                std::span<const int> descriptors) {
    member* by = find(zygote);
    if (by == nullptr) {
        return fail(errc::unavailable, "the function's zygote is gone; Python is executed");
    }
    ++by->process.forks;
    return send_packet(by->process.socket.get(), bytes_of(request), descriptors);
}

void function_zygotes::note_fork(std::uint64_t zygote, bool succeeded) {
    member* by = find(zygote);
    if (by == nullptr) {
        return;
    }
    by->failed_forks = succeeded ? 0 : by->failed_forks + 1;
    if (by->failed_forks >= failed_forks_max) {
        log::warning("a zygote's forks fail; it is ended", {{"process", by->process.process}});
        retire(zygote);
        delay_start();
        arm_timer();
    }
}

void function_zygotes::note_end(std::uint64_t zygote) {
    member* by = find(zygote);
    if (by == nullptr) {
        return;
    }
    --by->sandboxes;
    by->used_at = steady_clock::now();
    if (by->sandboxes == 0) {
        arm_timer();
    }
}

void function_zygotes::shut_down() {
    origin_.program.reset();
    for (const member& each : all_) {
        end_now(each.process);
    }
    all_.clear();
    std::ranges::for_each(retired_, end_now);
    retired_.clear();
}

}  // namespace hearth::sandbox
