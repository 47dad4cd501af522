#include "coro/thread_pool.h"

#include <csignal>

namespace hearth {

thread_pool::thread_pool(std::size_t threads, std::size_t queue_max) : queue_max_(queue_max) {
    // Signals belong to the event loop's signalfd: pool threads are born with all of them blocked.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    threads_.reserve(threads);
    for (std::size_t i = 0; i < threads; ++i) {
        threads_.emplace_back([this] { serve(); });
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

thread_pool::~thread_pool() {
    {
        const std::scoped_lock lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& each : threads_) {
        each.join();
    }
}

std::size_t thread_pool::queue_depth() const {
    const std::scoped_lock lock(mutex_);
    return queue_.size();
}

bool thread_pool::submit(job& work) {
    {
        const std::scoped_lock lock(mutex_);
        if (queue_.size() >= queue_max_) {
            return false;
        }
        queue_.push_back(&work);
    }
    wake_.notify_one();
    return true;
}

void thread_pool::serve() {
    for (;;) {
        job* work = nullptr;
        {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
            if (queue_.empty()) {
                return;
            }
            work = queue_.front();
            queue_.pop_front();
        }
        work->execute();
    }
}

}  // namespace hearth
