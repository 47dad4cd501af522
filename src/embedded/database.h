#pragma once

#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "coro/executor.h"
#include "coro/task.h"
#include "coro/thread_pool.h"
#include "embedded/sqlite.h"

namespace hearth::embedded {

struct database_settings {
    // Writes, and apart from them reads, that may wait. More: errc::limit_exceeded.
    // At 20,000 in a second, a disk that is busy for 400 ms.
    std::size_t queue_max = 8192;
    // How long a write that nobody waits for may wait for others, to share a commit with them. At
    // 20,000 such writes in a second a commit has 200, and more of them make it hardly cheaper.
    milliseconds patience{10};
};

enum class urgency : std::uint8_t {
    awaited,  // written as soon as the writer is free
    behind,   // within database_settings::patience, or with the next awaited one
};

struct write_manner {
    urgency when = urgency::awaited;
    // No savepoint is needed: the one statement that it is about undoes itself when it fails, and
    // what follows that one never makes it fail.
    bool undoes_itself = false;
};

// Problem: a write is durable only after an fsync, which takes a disk's time (0.1 to 10 ms), and
// SQLite has one writer at a time; one transaction per request would make the disk the limit.
//
// Solution: group commit. One thread owns the writing connection. It takes all writes that wait,
// runs them inside one transaction, each in a savepoint of its own so that one that fails undoes
// itself alone, commits once and answers them all after the commit. While the disk works, the next
// group gathers. What nobody waits for (urgency::behind) gathers for some milliseconds: without
// that a writer that is faster than its callers would commit, and be woken, for each. Reads run on
// a second connection in a second thread and see the last commit (WAL).
//
// When the commit fails, or SQLite gives the transaction up (disk full), nothing of the group is
// stored and every write of it is answered with errc::unavailable.
//
// One process uses the file: a lock on `<path>.lock`, which ends with the process, holds a second
// one off (errc::conflict). read() and write() may be called on any executor's thread and answer on
// it. Work that has begun cannot be stopped and is always awaited; work whose deadline passes
// before its turn is answered with errc::deadline_exceeded and leaves no trace.
class database {
public:
    // Writes of one transaction at most: bounds what one group waits for.
    static constexpr std::size_t writes_per_commit_max = 512;

    // Blocks; for start-up. The error names the file and the remedy.
    [[nodiscard]] static result<std::unique_ptr<database>> open(
        const std::string& path, const database_settings& settings = {});
    database(const database&) = delete;
    database& operator=(const database&) = delete;
    // Finishes what is queued. The executors that wait for an answer must still be there.
    ~database();

    // `function(connection&)` returns a result<T>; what it changed is stored when that is a value
    // and undone when it is an error. It runs on the writer's thread, its captures are touched by
    // nobody meanwhile, and it must not end the transaction.
    template <class Function>
    auto write(Function function, deadline until, write_manner how = {})
        -> task<std::invoke_result_t<Function&, connection&>>;

    // The same on the reading connection: every statement sees the last commit.
    template <class Function>
    auto read(Function function, deadline until)
        -> task<std::invoke_result_t<Function&, connection&>>;

    struct statistics {
        std::uint64_t commits = 0;  // transactions committed
        std::uint64_t writes = 0;   // writes answered after them
        std::size_t waiting = 0;    // writes in the queue
    };
    [[nodiscard]] statistics measure() const;

private:
    // One write, in the frame of the coroutine that waits for it.
    class pending_write : public remote_work {
    public:
        pending_write(deadline until, write_manner how) noexcept : until_(until), how_(how) {}

        // On the writer's thread. False: undo.
        virtual bool execute(connection& db) = 0;
        virtual void fail_with(error reason) = 0;
        [[nodiscard]] bool is_late() const { return steady_clock::now() >= until_; }
        [[nodiscard]] bool is_awaited() const noexcept { return how_.when == urgency::awaited; }
        [[nodiscard]] bool undoes_itself() const noexcept { return how_.undoes_itself; }
        // The last touch: the frame may be gone when this returns.
        void answer() noexcept { home_->post_remote(*this); }

        void suspend(std::coroutine_handle<> caller) noexcept {
            caller_ = caller;
            home_ = executor::current();
        }

    protected:
        ~pending_write() = default;

    private:
        void run() noexcept override { home_->post(caller_); }

        deadline until_;
        write_manner how_;
        executor* home_ = nullptr;
        std::coroutine_handle<> caller_;
    };
    template <class Function>
    class write_call;

    database(unique_fd lock, std::unique_ptr<connection> writer, std::unique_ptr<connection> reader,
             const database_settings& settings);

    bool submit(pending_write& write);
    void serve_writes();
    [[nodiscard]] std::deque<pending_write*> next_group();
    void run_group(std::span<pending_write* const> group);
    [[nodiscard]] result<> execute_group(std::span<pending_write* const> group);
    [[nodiscard]] result<> execute_one(pending_write& write);

    unique_fd lock_;
    std::unique_ptr<connection> writer_;
    std::unique_ptr<connection> reader_;
    std::size_t queue_max_;
    milliseconds patience_;

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<pending_write*> queue_;
    steady_time due_ = never;  // when the queue is to be written; never while it is empty
    bool stopping_ = false;
    std::atomic<std::uint64_t> commits_ = 0;
    std::atomic<std::uint64_t> writes_ = 0;

    thread_pool reading_;
    std::thread writing_;
};

template <class Function>
class database::write_call final : public pending_write {
public:
    using value_type = std::invoke_result_t<Function&, connection&>;

    write_call(database& owner, Function& function, deadline until, write_manner how) noexcept
        : pending_write(until, how), owner_(owner), function_(function) {}

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> caller) {
        suspend(caller);
        return owner_.submit(*this);
    }
    value_type await_resume() { return std::move(*value_); }

private:
    bool execute(connection& db) override {
        value_.emplace(function_(db));
        return value_->has_value();
    }
    void fail_with(error reason) override { value_.emplace(std::unexpected(std::move(reason))); }

    database& owner_;
    Function& function_;
    std::optional<value_type> value_;
};

template <class Function>
auto database::write(Function function, deadline until, write_manner how)
    -> task<std::invoke_result_t<Function&, connection&>> {
    co_return co_await write_call<Function>(*this, function, until, how);
}

template <class Function>
auto database::read(Function function, deadline until)
    -> task<std::invoke_result_t<Function&, connection&>> {
    using value_type = std::invoke_result_t<Function&, connection&>;
    auto answer = co_await reading_.run([this, &function, until]() -> value_type {
        if (steady_clock::now() >= until) {
            return fail(errc::deadline_exceeded, "deadline passed before the database was read");
        }
        return function(*reader_);
    });
    if (!answer) {
        co_return propagate(answer);
    }
    co_return std::move(*answer);
}

}  // namespace hearth::embedded
