#include "uring/ring.h"

#include <algorithm>
#include <bit>
#include <cerrno>

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/concat.h"
#include "uring/buffer_pool.h"
#include "uring/probe.h"

namespace hearth::uring {
namespace {

constexpr std::size_t resumes_per_turn_max = 256;  // then completions get their turn
constexpr unsigned completion_reserve = 64;        // for cancel requests and multishot bursts
constexpr unsigned completion_entries_min = 2 * completion_reserve;
constexpr unsigned buffer_count_min = 4;        // the last quarter is always copied out and reused
constexpr unsigned buffer_count_max = 1 << 15;  // of the kernel's buffer rings

result<> check_options(const ring_options& options) {
    if (options.submission_entries == 0 ||
        options.completion_entries < std::max(completion_entries_min, options.submission_entries)) {
        return fail(errc::invalid_argument,
                    concat("a ring needs submission entries, and at least as many completion "
                           "entries, of which the minimum is ",
                           completion_entries_min));
    }
    if (!std::has_single_bit(options.buffer_count) || options.buffer_count < buffer_count_min ||
        options.buffer_count > buffer_count_max || options.buffer_bytes == 0) {
        return fail(errc::invalid_argument,
                    concat("a ring's buffer count must be a power of two from ", buffer_count_min,
                           " to ", buffer_count_max, " and its buffers not empty"));
    }
    return {};
}

}  // namespace

// Other threads wake the loop through an eventfd that is always being read.
class ring::wake_watch final : public completion_target {
public:
    explicit wake_watch(ring& owner) : owner_(owner), fd_(::eventfd(0, EFD_CLOEXEC)) {
        HEARTH_CHECK(fd_, "eventfd failed: out of file descriptors");
        owner_.start(*this);
    }
    void signal() noexcept {
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t written = ::write(fd_.get(), &one, sizeof one);
    }
    void prepare(io_uring_sqe& entry) noexcept override {
        io_uring_prep_read(&entry, fd_.get(), &count_, sizeof count_, 0);
    }
    void complete(int, std::uint32_t) noexcept override {
        signalled = true;
        if (!stopping) {
            owner_.start(*this);
        }
    }

    bool signalled = false;
    bool stopping = false;

private:
    ring& owner_;
    unique_fd fd_;
    std::uint64_t count_ = 0;
};

result<std::unique_ptr<ring>> ring::create(const ring_options& options) {
    std::unique_ptr<ring> made(new ring);
    if (auto opened = made->open(options); !opened) {
        return propagate(opened);
    }
    return made;
}

result<> ring::open(const ring_options& options) {
    HEARTH_CHECK(executor::current() == nullptr, "the thread has an event loop already");
    if (auto sensible = check_options(options); !sensible) {
        return sensible;
    }
    io_uring_params parameters{};
    parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                       IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    parameters.cq_entries = options.completion_entries;
    const int status =
        io_uring_queue_init_params(options.submission_entries, &kernel_, &parameters);
    if (status < 0) {
        return explain_setup_failure(-status);
    }
    opened_ = true;
    if (auto usable = check_features(kernel_, parameters.features); !usable) {
        return usable;
    }
    io_uring_ring_dontfork(&kernel_);
    in_flight_max_ = parameters.cq_entries - completion_reserve;
    set_current(this);
    auto pool = buffer_pool::create(kernel_, options.buffer_count, options.buffer_bytes);
    if (!pool) {
        return propagate(pool);
    }
    buffers_ = std::move(*pool);
    remote_tasks_.emplace();
    wake_watch_ = std::make_unique<wake_watch>(*this);
    return {};
}

ring::~ring() {
    if (wake_watch_ != nullptr) {
        wake_watch_->stopping = true;
        wake_watch_->signal();
        while (in_flight_ > 0) {
            resume_due();
            exchange();
        }
    }
    remote_tasks_.reset();
    buffers_.reset();
    if (opened_) {
        io_uring_queue_exit(&kernel_);
    }
    set_current(nullptr);
}

ring& ring::current() noexcept {
    auto* current = static_cast<ring*>(executor::current());
    HEARTH_CHECK(current != nullptr, "no ring on this thread");
    return *current;
}

void ring::wake() noexcept {
    wake_watch_->signal();
}

void ring::run_until(const bool& done) {
    // Looked at between resuming and waiting: the wait has no end once nothing is left to complete.
    for (resume_due(); !done || has_ready() || remote_tasks_->size() > 0; resume_due()) {
        exchange();
    }
}

void ring::resume_due() {
    ++statistics_.turns;
    run_ready(resumes_per_turn_max);
    if (std::exchange(wake_watch_->signalled, false)) {
        run_remote();
    }
    timers().expire(steady_clock::now());
}

void ring::exchange() {
    enter(!has_ready());
    collect();
}

void ring::enter(bool wait) {
    ++statistics_.enters;
    int status = 0;
    if (!wait) {
        status = io_uring_submit_and_get_events(&kernel_);
    } else if (const deadline due = timers().next_due(); due == never) {
        status = io_uring_submit_and_wait(&kernel_, 1);
    } else {
        const auto left = std::max<nanoseconds>(due - steady_clock::now(), nanoseconds(0));
        __kernel_timespec timeout{.tv_sec = left.count() / 1'000'000'000,
                                  .tv_nsec = left.count() % 1'000'000'000};
        io_uring_cqe* first = nullptr;
        status = io_uring_submit_and_wait_timeout(&kernel_, &first, 1, &timeout, nullptr);
    }
    // ETIME: a timer is due. EINTR: a signal was handled. EBUSY, EAGAIN: the kernel wants
    // completions collected first, or is short of memory for a moment; both mend themselves in the
    // next turn.
    HEARTH_CHECK(status >= 0 || status == -ETIME || status == -EINTR || status == -EBUSY ||
                     status == -EAGAIN,
                 "io_uring_enter failed");
}

void ring::collect() {
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&kernel_, head, cqe) {
        ++count;
        auto* target = static_cast<completion_target*>(io_uring_cqe_get_data(cqe));
        if (target == nullptr) {
            continue;  // the answer to a cancel request: the operation itself reports what came of
                       // it
        }
        const int result = fault_ ? fault_(cqe->res) : cqe->res;
        if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
            --in_flight_;
        }
        target->complete(result, cqe->flags);
    }
    io_uring_cq_advance(&kernel_, count);
    statistics_.completions += count;
    while (in_flight_ < in_flight_max_ && !waiting_.empty()) {
        completion_target& next = waiting_.front();
        next.unlink();
        submit(next);
    }
}

void ring::start(completion_target& target) noexcept {
    if (in_flight_ >= in_flight_max_) {
        ++statistics_.budget_waits;
        waiting_.push_back(target);
        return;
    }
    submit(target);
}

void ring::submit(completion_target& target) noexcept {
    ++in_flight_;
    ++statistics_.submissions;
    io_uring_sqe& entry = next_entry();
    target.prepare(entry);
    io_uring_sqe_set_data(&entry, &target);
}

void ring::cancel(completion_target& target) noexcept {
    if (target.is_linked()) {
        target.unlink();  // it never reached the kernel
        target.complete(-ECANCELED, 0);
        return;
    }
    ++statistics_.cancellations;
    io_uring_sqe& entry = next_entry();
    io_uring_prep_cancel(&entry, &target, 0);
    io_uring_sqe_set_data(&entry, nullptr);
}

io_uring_sqe& ring::next_entry() noexcept {
    io_uring_sqe* entry = io_uring_get_sqe(&kernel_);
    while (entry == nullptr) {
        ++statistics_.queue_full;
        ++statistics_.enters;
        io_uring_submit(&kernel_);
        entry = io_uring_get_sqe(&kernel_);
    }
    return *entry;
}

}  // namespace hearth::uring
