#include "coro/scope.h"

#include <exception>
#include <utility>

#include "base/concat.h"

namespace hearth {

// The coroutine at the root of each spawned task. It destroys itself when the task is over; a
// joiner resumes from the ready list, hence after that.
class scope::root {
public:
    class promise_type final : public root_link {
    public:
        promise_type(scope& owner, task<void>&, const std::source_location& where) noexcept
            : owner_(owner) {
            stop = &owner.stop_;
            suspended_at = where;
        }
        root get_return_object() noexcept {
            return {std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
        [[nodiscard]] std::suspend_never final_suspend() const noexcept { return {}; }
        // Unlike other tasks a root always waits at the same place: it shows where it was spawned.
        template <class Awaitable>
        Awaitable&& await_transform(Awaitable&& awaitable) noexcept {
            return std::forward<Awaitable>(awaitable);
        }
        void return_void() noexcept { owner_.finished(*this); }

    private:
        scope& owner_;
    };

    static root run(scope&, task<void> work, std::source_location) { co_await std::move(work); }

    std::coroutine_handle<promise_type> coroutine;
};

scope::scope(stop_source* parent, std::size_t limit) : stop_(parent), limit_(limit) {
    executor* home = executor::current();
    HEARTH_CHECK(home != nullptr, "scope made outside an executor's thread");
    home->scopes_.push_back(*this);
}

scope::~scope() {
    HEARTH_CHECK(live_ == 0, "scope destroyed before it was joined");
    unlink();
}

bool scope::spawn(task<void> work, std::source_location where) {
    if (live_ >= limit_) {
        return false;
    }
    const root started = root::run(*this, std::move(work), where);
    ++live_;
    roots_.push_back(started.coroutine.promise());
    executor::current()->post(started.coroutine);
    return true;
}

void scope::finished(root_link& root) noexcept {
    root.unlink();
    if (--live_ == 0) {
        joiners_.notify_all();
    }
}

task<void> scope::join() {
    while (live_ > 0) {
        co_await joiners_.wait_unstoppable();
    }
}

void scope::dump(std::string& out) {
    roots_.for_each([&](root_link& root) {
        std::size_t depth = 0;
        for (promise_base* each = &root; each != nullptr; each = each->awaited) {
            out.append(2 * depth++, ' ');
            out += concat(each->suspended_at.function_name(), " at ",
                          each->suspended_at.file_name(), ":", each->suspended_at.line(), "\n");
        }
    });
}

std::string executor::dump_tasks() {
    std::string out;
    scopes_.for_each([&](scope& each) { each.dump(out); });
    return out;
}

void promise_base::unhandled_exception() noexcept {
    try {
        throw;
    } catch (const std::exception& exception) {
        check_failed("no exception leaves a coroutine", __FILE__, __LINE__, exception.what());
    } catch (...) {
        check_failed("no exception leaves a coroutine", __FILE__, __LINE__, "unknown exception");
    }
}

}  // namespace hearth
