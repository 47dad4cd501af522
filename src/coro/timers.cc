#include "coro/timers.h"

#include "base/check.h"

namespace hearth {

void timer::disarm() noexcept {
    if (queue_ != nullptr) {
        queue_->remove(*this);
    }
}

timer_queue::~timer_queue() {
    HEARTH_CHECK(heap_.empty(), "timer queue destroyed with armed timers");
}

void timer_queue::arm(timer& which, deadline due) {
    which.disarm();
    if (due == never) {
        return;
    }
    which.queue_ = this;
    which.due_ = due;
    heap_.push_back(&which);
    which.index_ = heap_.size() - 1;
    sift_up(which.index_);
}

std::size_t timer_queue::expire(steady_time now) {
    std::size_t count = 0;
    while (!heap_.empty() && heap_.front()->due_ <= now) {
        timer& due = *heap_.front();
        remove(due);
        due.on_timer();
        ++count;
    }
    return count;
}

void timer_queue::remove(timer& which) noexcept {
    const std::size_t index = which.index_;
    which.queue_ = nullptr;
    timer* last = heap_.back();
    heap_.pop_back();
    if (last != &which) {
        place(index, last);
        sift_up(index);
        sift_down(last->index_);
    }
}

void timer_queue::place(std::size_t index, timer* which) noexcept {
    heap_[index] = which;
    which->index_ = index;
}

void timer_queue::sift_up(std::size_t index) noexcept {
    timer* moving = heap_[index];
    while (index > 0) {
        const std::size_t parent = (index - 1) / 2;
        if (heap_[parent]->due_ <= moving->due_) {
            break;
        }
        place(index, heap_[parent]);
        index = parent;
    }
    place(index, moving);
}

void timer_queue::sift_down(std::size_t index) noexcept {
    timer* moving = heap_[index];
    for (;;) {
        std::size_t child = 2 * index + 1;
        if (child >= heap_.size()) {
            break;
        }
        if (child + 1 < heap_.size() && heap_[child + 1]->due_ < heap_[child]->due_) {
            ++child;
        }
        if (moving->due_ <= heap_[child]->due_) {
            break;
        }
        place(index, heap_[child]);
        index = child;
    }
    place(index, moving);
}

}  // namespace hearth
