#include "embedded/database.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>

#include "base/concat.h"
#include "base/log.h"
#include "embedded/schema.h"

namespace hearth::embedded {
namespace {

// flock and not fcntl: SQLite's own locks on the database are the fcntl kind, which any close of
// the same file in this process would drop; a file of its own keeps the two apart.
result<unique_fd> take_lock(const std::string& path) {
    const std::string lock_path = path + ".lock";
    unique_fd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock) {
        auto failed = fail_errno(concat("database lock ", lock_path), errno);
        failed.error().message += "; check that its folder exists and is writable";
        return failed;
    }
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            return fail(errc::conflict, concat("database ", path,
                                               " is in use by another Hearth process; stop that "
                                               "one or choose another data directory"));
        }
        return fail_errno(concat("database lock ", lock_path), errno);
    }
    return lock;
}

// After a failed commit. SQLite drops what an open transaction wrote in any case; one that stays
// open would fail the next group, which tells.
void roll_back(connection& db) {
    if (db.in_transaction()) {
        if (auto undone = db.execute("ROLLBACK"); !undone) {
            log::error("a database rollback failed", {{"reason", undone.error().message}});
        }
    }
}

std::thread start_without_signals(auto function) {
    // Signals belong to the event loop's signalfd.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread started(std::move(function));
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return started;
}

}  // namespace

result<std::unique_ptr<database>> database::open(const std::string& path,
                                                 const database_settings& settings) {
    auto lock = take_lock(path);
    if (!lock) {
        return propagate(lock);
    }
    auto writer = connection::open(path);
    if (!writer) {
        return propagate(writer);
    }
    if (auto prepared = prepare_schema(**writer); !prepared) {
        return propagate(prepared);
    }
    auto reader = connection::open(path);
    if (!reader) {
        return propagate(reader);
    }
    if (auto closed = (*reader)->make_read_only(); !closed) {
        return propagate(closed);
    }
    return std::unique_ptr<database>(
        new database(std::move(*lock), std::move(*writer), std::move(*reader), settings));
}

database::database(unique_fd lock, std::unique_ptr<connection> writer,
                   std::unique_ptr<connection> reader, const database_settings& settings)
    : lock_(std::move(lock)),
      writer_(std::move(writer)),
      reader_(std::move(reader)),
      queue_max_(settings.queue_max),
      patience_(settings.patience),
      reading_(1, settings.queue_max),
      writing_(start_without_signals([this] { serve_writes(); })) {}

database::~database() {
    {
        const std::scoped_lock guard(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    writing_.join();
}

database::statistics database::measure() const {
    const std::scoped_lock guard(mutex_);
    return {commits_.load(), writes_.load(), queue_.size()};
}

bool database::submit(pending_write& write) {
    bool is_sooner = false;
    {
        const std::scoped_lock guard(mutex_);
        if (queue_.size() >= queue_max_) {
            write.fail_with({errc::limit_exceeded,
                             "too many writes wait for the database; try again later", 0});
            return false;
        }
        queue_.push_back(&write);
        const bool presses = write.is_awaited() || queue_.size() >= writes_per_commit_max;
        const steady_time due = steady_clock::now() + (presses ? milliseconds(0) : patience_);
        is_sooner = due < due_;
        due_ = std::min(due, due_);
    }
    // Not for each: those that join a group that waits already leave its writer asleep.
    if (is_sooner) {
        wake_.notify_one();
    }
    return true;
}

std::deque<database::pending_write*> database::next_group() {
    std::unique_lock guard(mutex_);
    while (!stopping_ && steady_clock::now() < due_) {
        if (due_ == never) {
            wake_.wait(guard);
        } else {
            wake_.wait_until(guard, due_);
        }
    }
    if (queue_.size() <= writes_per_commit_max) {
        due_ = never;
        return std::exchange(queue_, {});
    }
    std::deque<pending_write*> group;
    const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(writes_per_commit_max);
    group.assign(queue_.begin(), end);
    queue_.erase(queue_.begin(), end);
    return group;
}

void database::serve_writes() {
    for (;;) {
        const auto group = next_group();
        if (group.empty()) {
            return;
        }
        std::vector<pending_write*> ready;
        ready.reserve(group.size());
        for (pending_write* each : group) {
            if (each->is_late()) {
                each->fail_with({errc::deadline_exceeded,
                                 "deadline passed before the database was written", 0});
                each->answer();
            } else {
                ready.push_back(each);
            }
        }
        if (!ready.empty()) {
            run_group(ready);
        }
    }
}

void database::run_group(std::span<pending_write* const> group) {
    auto stored = execute_group(group);
    if (!stored) {
        roll_back(*writer_);
        log::error("a database transaction failed", {{"reason", stored.error().message}});
        const error reason{errc::unavailable,
                           concat("nothing was stored: ", stored.error().message),
                           stored.error().os_error};
        for (pending_write* each : group) {
            each->fail_with(reason);
        }
    } else {
        commits_.fetch_add(1, std::memory_order_relaxed);
    }
    writes_.fetch_add(group.size(), std::memory_order_relaxed);
    for (pending_write* each : group) {
        each->answer();
    }
}

result<> database::execute_group(std::span<pending_write* const> group) {
    if (auto begun = writer_->execute("BEGIN IMMEDIATE"); !begun) {
        return propagate(begun);
    }
    for (pending_write* each : group) {
        if (auto done = execute_one(*each); !done) {
            return done;
        }
    }
    if (auto committed = writer_->execute("COMMIT"); !committed) {
        return propagate(committed);
    }
    return {};
}

// An error here is the group's; the write's own errors are its answer.
result<> database::execute_one(pending_write& write) {
    const bool undoes_itself = write.undoes_itself();
    if (!undoes_itself) {
        if (auto opened = writer_->execute("SAVEPOINT one_write"); !opened) {
            return propagate(opened);
        }
    }
    const bool keep = write.execute(*writer_);
    if (!writer_->in_transaction()) {
        return fail(errc::unavailable,
                    "SQLite gave the transaction up, most likely because the "
                    "disk is full: free space on its volume");
    }
    if (undoes_itself) {
        return {};
    }
    if (!keep) {
        if (auto undone = writer_->execute("ROLLBACK TO one_write"); !undone) {
            return propagate(undone);
        }
    }
    if (auto closed = writer_->execute("RELEASE one_write"); !closed) {
        return propagate(closed);
    }
    return {};
}

}  // namespace hearth::embedded
