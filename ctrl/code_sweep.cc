#include "ctrl/code_sweep.h"

#include <utility>

#include "base/ids.h"
#include "base/log.h"
#include "coro/wait_list.h"

namespace hearth::ctrl {
namespace {

constexpr std::size_t page_size = 500;
constexpr seconds run_time_max{600};

}  // namespace

code_sweep::code_sweep(faas::function_table& functions, faas::code_store& code,
                       code_sweep_options options)
    : functions_(functions), code_(code), options_(std::move(options)) {}

task<void> code_sweep::run() {
    auto pause = milliseconds(static_cast<std::int64_t>(
        random_u64() % static_cast<std::uint64_t>(options_.interval.count())));
    while (co_await sleep_until(after(pause))) {
        pause = options_.interval;
        auto swept = co_await sweep(after(run_time_max));
        if (!swept && swept.error().code == errc::cancelled) {
            co_return;
        }
        note(swept);
    }
}

// The functions are read after the code, for each part anew: whatever is uploaded in between is
// young.
task<result<std::size_t>> code_sweep::sweep(deadline until) {
    ++counts_.runs;
    std::unordered_map<std::string, int> unused;
    std::size_t removed = 0;
    counts_.unused = 0;
    part now;
    while (!now.ends) {
        auto next = co_await old_code_after(std::move(now.last), until);
        if (!next) {
            co_return propagate(next);
        }
        now = std::move(*next);
        auto used = co_await code_in_use(until);
        if (!used) {
            co_return propagate(used);
        }
        for (std::string& each : now.old) {
            if (used->contains(each)) {
                continue;
            }
            ++counts_.unused;
            const auto known = unused_.find(each);
            const int looks = known == unused_.end() ? 1 : known->second + 1;
            if (looks < options_.looks || removed >= options_.removals_max) {
                if (unused.size() < options_.part_max) {
                    unused.emplace(std::move(each), looks);
                }
                continue;
            }
            auto gone = co_await remove_if_old(each, until);
            if (!gone) {
                co_return propagate(gone);
            }
            removed += *gone ? 1 : 0;
            counts_.removed += *gone ? 1 : 0;
        }
    }
    unused_ = std::move(unused);
    co_return removed;
}

task<result<code_sweep::part>> code_sweep::old_code_after(std::string last, deadline until) {
    const epoch_ms stored_before = options_.now() - options_.grace.count();
    part found{.old = {}, .last = std::move(last)};
    while (found.old.size() < options_.part_max) {
        auto held = co_await code_.list(found.last, page_size, until);
        if (!held) {
            co_return propagate(held);
        }
        if (held->empty()) {
            found.ends = true;
            break;
        }
        found.last = held->back().sha256;
        for (auto& each : *held) {
            if (each.at <= stored_before) {
                found.old.push_back(std::move(each.sha256));
            }
        }
    }
    co_return found;
}

task<result<std::unordered_set<std::string>>> code_sweep::code_in_use(deadline until) {
    std::unordered_set<std::string> used;
    std::string cursor;
    do {
        auto functions = co_await functions_.list(page_size, cursor, until);
        if (!functions) {
            co_return propagate(functions);
        }
        for (faas::function& each : functions->items) {
            used.insert(std::move(each.code_sha256));
        }
        cursor = std::move(functions->cursor);
    } while (!cursor.empty());
    co_return used;
}

// Looks once more right before: an upload of the same content has renewed it, and its function may
// refer to it since. What is left is the time of one request. Where there is no grace, nobody
// uploads, and a look at a folder's code reads all of the folder.
task<result<bool>> code_sweep::remove_if_old(const std::string& sha256, deadline until) {
    if (options_.grace.count() > 0) {
        const std::string just_before = sha256.substr(0, sha256.size() - 1);
        auto held = co_await code_.list(just_before, 1, until);
        if (!held) {
            co_return propagate(held);
        }
        const bool old = !held->empty() && held->front().sha256 == sha256 &&
                         held->front().at <= options_.now() - options_.grace.count();
        if (!old) {
            co_return false;
        }
    }
    if (auto gone = co_await code_.remove(sha256, until); !gone) {
        co_return propagate(gone);
    }
    log::info("code that no function uses was removed", {{"sha256", sha256}});
    co_return true;
}

// One line when runs begin to fail and one when they work again.
void code_sweep::note(const result<std::size_t>& swept) {
    counts_.failed += swept ? 0 : 1;
    if (failing_ == !swept.has_value()) {
        return;
    }
    failing_ = !failing_;
    if (failing_) {
        log::warning("code that no function uses stays", {{"reason", swept.error().message}});
    } else {
        log::info("code that no function uses is removed again");
    }
}

}  // namespace hearth::ctrl
