#include "sandbox/zygote_keeper.h"

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

}  // namespace

result<zygote_keeper> zygote_keeper::make(unique_fd program, std::string python,
                                          std::span<const char* const> environment,
                                          zygote_settings settings) {
    zygote_keeper made(std::move(program), std::move(python), environment, std::move(settings));
    made.epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    made.timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!made.epoll_ || !made.timer_) {
        return fail_errno("preparing the zygote's keeper");
    }
    if (auto ok = watch_readable(made.epoll_.get(), made.timer_.get()); !ok) {
        return propagate(ok);
    }
    made.dispatch();
    return made;
}

void zygote_keeper::want() {
    if (!wanted_) {
        wanted_ = true;
        dispatch();
    }
}

// Whatever woke it, everything is looked at: there are two zygotes at most and those that end.
void zygote_keeper::dispatch() {
    drain(timer_.get());
    std::erase_if(retired_, has_ended);
    check_next();
    if (current_ && has_ended(*current_)) {
        log::warning("the zygote ended; sandboxes execute Python until there is another",
                     {{"process", current_->process}});
        current_.reset();
        delay_start();
    }
    if (!next_ && (!current_ || is_worn_out())) {
        start_next();
    }
    arm_timer();
}

void zygote_keeper::check_next() {
    if (!next_) {
        return;
    }
    const zygote_word said = read_word(*next_);
    if (said == zygote_word::ready) {
        retire_current();
        current_ = std::move(next_);
        next_.reset();
        failed_forks_ = 0;
        was_ready_ = true;
    } else if (said == zygote_word::refused) {
        retired_.push_back(std::move(*next_));
        next_.reset();
        if (was_ready_) {
            delay_start();  // what it lacks, memory for example, may come back
        } else {
            origin_.program.reset();  // it said why; trying again would not change the host
        }
    } else if (is_overdue(*next_)) {
        kill_zygote(*next_);
        retired_.push_back(std::move(*next_));
        next_.reset();
        delay_start();
    } else if (has_ended(*next_)) {
        log::warning("a zygote ended before it was ready", {{"process", next_->process}});
        next_.reset();
        delay_start();
    }
}

void zygote_keeper::start_next() {
    if (!origin_.program || !wanted_ || steady_clock::now() < start_at_) {
        return;
    }
    auto launched = launch_zygote(origin_, settings_.family, settings_.modules, epoll_.get());
    if (!launched) {
        log::warning("the zygote cannot be started", {{"error", launched.error().message}});
        delay_start();
        return;
    }
    next_ = std::move(*launched);
}

void zygote_keeper::retire_current() {
    if (current_) {
        // It ends when it reads the end of its socket.
        current_->socket.reset();
        retired_.push_back(std::move(*current_));
        current_.reset();
    }
}

void zygote_keeper::delay_start() {
    start_pause_ = std::clamp(start_pause_ * 2, start_pause_min, start_pause_max);
    start_at_ = steady_clock::now() + start_pause_;
}

bool zygote_keeper::is_worn_out() const {
    return current_->forks >= settings_.forks_max ||
           steady_clock::now() - current_->started_at >= settings_.age_max;
}

// For the next start: after a failure, or when the current one is worn out.
void zygote_keeper::arm_timer() const {
    if (!origin_.program || !wanted_) {
        disarm(timer_.get());
        return;
    }
    steady_time at = next_ ? next_->started_at + zygote_start_time_max : start_at_;
    if (!next_ && current_ && !is_worn_out()) {
        at = std::max(at, current_->started_at + settings_.age_max);
    }
    arm_at(timer_.get(), at);
}

result<> zygote_keeper::fork(const fork_request& request, std::span<const int> descriptors) {
    if (!current_) {
        return fail(errc::unavailable, "there is no zygote");
    }
    ++current_->forks;
    if (is_worn_out() && !next_) {
        arm_timer();
    }
    return send_packet(current_->socket.get(), bytes_of(request), descriptors);
}

void zygote_keeper::note_fork(bool succeeded) {
    failed_forks_ = succeeded ? 0 : failed_forks_ + 1;
    if (succeeded) {
        start_pause_ = milliseconds(0);
    } else if (failed_forks_ >= failed_forks_max && current_) {
        log::warning("the zygote's forks fail; it is replaced", {{"process", current_->process}});
        retire_current();
        delay_start();
        arm_timer();
    }
}

void zygote_keeper::shut_down() {
    origin_.program.reset();
    retire_current();
    if (next_) {
        next_->socket.reset();
        retired_.push_back(std::move(*next_));
        next_.reset();
    }
    std::ranges::for_each(retired_, end_now);
    retired_.clear();
}

}  // namespace hearth::sandbox
