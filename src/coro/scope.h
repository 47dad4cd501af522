#pragma once

#include <cstddef>
#include <limits>
#include <string>

#include "coro/executor.h"
#include "coro/task.h"
#include "coro/wait_list.h"

namespace hearth {

// Problem: a task that nobody awaits outlives what it refers to, its errors vanish, and shutdown
// cannot know when it is over. Solution: every concurrent task lives in a scope, which counts its
// tasks, can stop them all, and must be joined before it dies (checked). Single-threaded.
class scope : public list_hook<scope> {
public:
    static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

    // `parent`: a stop that also stops this scope's tasks, or null; outlives the scope. `limit`:
    // how many tasks may live at once.
    explicit scope(stop_source* parent = nullptr, std::size_t limit = unlimited);
    ~scope();

    // Starts `work` in the executor's next turn. False, and `work` is dropped unstarted, when the
    // scope is at its limit.
    bool spawn(task<void> work, std::source_location where = std::source_location::current());

    void request_stop() noexcept { stop_.request_stop(); }
    [[nodiscard]] stop_source& stop() noexcept { return stop_; }
    [[nodiscard]] std::size_t size() const noexcept { return live_; }

    // Waits until no task is left. Not stopped by anything: a stopped task still ends by itself.
    task<void> join();

private:
    friend class executor;
    class root;
    class root_link : public promise_base, public list_hook<root_link> {};

    void finished(root_link& root) noexcept;
    void dump(std::string& out);

    stop_source stop_;
    intrusive_list<root_link> roots_;
    std::size_t live_ = 0;
    std::size_t limit_;
    wait_list joiners_;
};

}  // namespace hearth
