#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "coro/executor.h"
#include "coro/scope.h"
#include "coro/task.h"
#include "uring/kernel.h"

namespace hearth::uring {

class buffer_pool;

struct ring_options {
    unsigned submission_entries = 512;
    unsigned completion_entries = 4096;  // at least 128, and not fewer than submission entries
    unsigned buffer_count =
        1024;  // of the pool that receives read into; a power of two, 4 to 32768
    unsigned buffer_bytes = 4096;
};

// Counters since the ring was made, for /metrics. Written by the ring's thread; read there.
struct ring_statistics {
    std::uint64_t turns = 0;          // of the event loop
    std::uint64_t enters = 0;         // io_uring_enter calls
    std::uint64_t submissions = 0;    // operations handed to the kernel
    std::uint64_t completions = 0;    // results taken from it
    std::uint64_t cancellations = 0;  // cancel requests sent
    std::uint64_t budget_waits = 0;   // operations that waited for room in the completion queue
    std::uint64_t queue_full = 0;     // times the submission queue was full
    std::uint64_t no_buffers = 0;     // receives that found the buffer pool empty
    std::uint64_t buffer_copies = 0;  // receives copied out because the pool ran low
    std::uint64_t rearms = 0;         // multishot operations started again
};

// Something the kernel reports to: one operation in flight, or a multishot one. complete() runs
// inside the walk over the completion queue, so it only takes notes and posts coroutines.
class completion_target : public list_hook<completion_target> {
public:
    // `flags` as in io_uring_cqe; without IORING_CQE_F_MORE the operation is over.
    virtual void complete(int result, std::uint32_t flags) noexcept = 0;
    // Fills a fresh submission entry (its user_data is set by the ring).
    virtual void prepare(io_uring_sqe& entry) noexcept = 0;

protected:
    ~completion_target() = default;
};

// One event loop over one io_uring, for one thread. It is the only class that talks to the kernel's
// rings. Operations in flight stay below the completion queue's size: what exceeds it waits in
// line, so that the queue cannot overflow. Timers and ready coroutines cost no system call; one
// io_uring_enter a turn submits, waits and collects.
class ring final : public executor {
public:
    // On the thread that will run it. Errors name what the kernel lacks and the remedy (see
    // probe.h).
    [[nodiscard]] static result<std::unique_ptr<ring>> create(const ring_options& options = {});
    ~ring() override;

    // The ring of the calling thread. Checked: there must be one.
    [[nodiscard]] static ring& current() noexcept;

    // Runs `main` and everything it starts until it is done. Tasks that other threads sent here are
    // finished first.
    template <class T>
    T run(task<T> main);

    // Hands `target` to the kernel, now or when there is room. complete() follows for certain.
    void start(completion_target& target) noexcept;
    // Asks for the end of an operation in flight. complete() still follows, with its real result
    // where it had one.
    void cancel(completion_target& target) noexcept;

    [[nodiscard]] buffer_pool& buffers() noexcept { return *buffers_; }
    [[nodiscard]] const ring_statistics& statistics() const noexcept { return statistics_; }
    [[nodiscard]] ring_statistics& statistics() noexcept { return statistics_; }
    [[nodiscard]] unsigned in_flight() const noexcept { return in_flight_; }
    // Tasks that other threads run here through run_on().
    [[nodiscard]] scope& remote_tasks() noexcept { return *remote_tasks_; }

    // For tests: sees every result before its operation does and may replace it.
    void set_fault(std::function<int(int result)> fault) { fault_ = std::move(fault); }

private:
    class wake_watch;

    ring() = default;
    result<> open(const ring_options& options);
    void run_until(const bool& done);
    void resume_due();  // the first half of a turn of the loop
    void exchange();    // the second: submits, waits and collects
    void enter(bool wait);
    void collect();
    void submit(completion_target& target) noexcept;
    io_uring_sqe& next_entry() noexcept;
    void wake() noexcept override;

    io_uring kernel_{};
    bool opened_ = false;
    unsigned in_flight_ = 0;
    unsigned in_flight_max_ = 0;
    intrusive_list<completion_target> waiting_;  // for room in the completion queue
    ring_statistics statistics_;
    std::unique_ptr<buffer_pool> buffers_;
    std::unique_ptr<wake_watch> wake_watch_;
    std::optional<scope> remote_tasks_;
    std::function<int(int)> fault_;
};

namespace detail {

template <class T>
task<void> run_main(task<T> main, std::optional<T>& value, bool& done) {
    value.emplace(co_await std::move(main));
    done = true;
}
inline task<void> run_main(task<void> main, bool& done) {
    co_await std::move(main);
    done = true;
}

}  // namespace detail

template <class T>
T ring::run(task<T> main) {
    bool done = false;
    scope root;
    if constexpr (std::is_void_v<T>) {
        root.spawn(detail::run_main(std::move(main), done));
        run_until(done);
    } else {
        std::optional<T> value;
        root.spawn(detail::run_main(std::move(main), value, done));
        run_until(done);
        return std::move(*value);
    }
}

}  // namespace hearth::uring
