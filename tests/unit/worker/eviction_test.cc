#include "worker/eviction.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <list>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace hearth::worker {
namespace {

TEST(eviction, what_is_called_more_costs_more_or_is_smaller_is_worth_more) {
    const greedy_dual policy;
    const greedy_dual::worth usual{.calls = 10, .start_ms = 20, .size_mb = 128};
    const auto with = [&](auto member, auto value) {
        auto changed = usual;
        changed.*member = value;
        return policy.priority_of(changed);
    };
    EXPECT_GT(with(&greedy_dual::worth::calls, std::uint64_t{11}), policy.priority_of(usual));
    EXPECT_GT(with(&greedy_dual::worth::start_ms, 21.0), policy.priority_of(usual));
    EXPECT_LT(with(&greedy_dual::worth::size_mb, std::int64_t{256}), policy.priority_of(usual));
}

TEST(eviction, what_is_not_called_any_more_ages_against_what_is) {
    greedy_dual policy;
    const double once_popular =
        policy.priority_of({.calls = 1000, .start_ms = 100, .size_mb = 128});
    const greedy_dual::worth rare{.calls = 1, .start_ms = 100, .size_mb = 128};
    EXPECT_LT(policy.priority_of(rare), once_popular);
    while (policy.clock() < once_popular) {
        policy.evicted(policy.priority_of(rare));
    }
    EXPECT_GT(policy.priority_of(rare), once_popular);
}

TEST(eviction, the_clock_never_goes_back) {
    greedy_dual policy;
    policy.evicted(5);
    policy.evicted(3);
    EXPECT_EQ(policy.clock(), 5);
}

TEST(eviction, a_size_of_nothing_is_no_division_by_zero) {
    EXPECT_TRUE(std::isfinite(greedy_dual().priority_of({.calls = 1, .size_mb = 0})));
}

// Calls of functions as hosts of functions see them: few are called often, most hardly ever, and
// popularity has nothing to do with size or start (Shahrad et al., Serverless in the Wild, 2020).
struct trace {
    struct kind {
        std::int64_t size_mb;
        double start_ms;
    };
    std::vector<kind> functions;
    std::vector<std::size_t> calls;

    trace(unsigned seed, std::size_t count, double skew) {
        std::mt19937 random(seed);
        const std::int64_t sizes[] = {128, 128, 128, 256, 512, 1024, 2048};
        std::lognormal_distribution<double> start_ms(4.0, 1.2);
        std::vector<double> popularity;
        for (std::size_t i = 0; i < count; ++i) {
            functions.push_back({sizes[random() % std::size(sizes)], start_ms(random)});
            popularity.push_back(1 / std::pow(static_cast<double>(i + 1), skew));
        }
        std::ranges::shuffle(functions, random);
        std::discrete_distribution<std::size_t> pick(popularity.begin(), popularity.end());
        for (int i = 0; i < 20'000; ++i) {
            calls.push_back(pick(random));
        }
    }
};

struct warm_one {
    std::size_t function;
    double priority;
};

// Milliseconds of starts that callers wait for. One call at a time: a function has one sandbox.
template <class Touch, class Victim>
double cost_of(const trace& played, std::int64_t budget_mb, Touch touch, Victim victim) {
    std::list<warm_one> warm;  // least recently used first
    std::int64_t used_mb = 0;
    double cost_ms = 0;
    for (const std::size_t called : played.calls) {
        const auto& kind = played.functions[called];
        auto found = std::ranges::find(warm, called, &warm_one::function);
        if (found != warm.end()) {
            warm.splice(warm.end(), warm, found);
        } else {
            cost_ms += kind.start_ms;
            while (used_mb + kind.size_mb > budget_mb) {
                const auto gone = victim(warm);
                used_mb -= played.functions[gone->function].size_mb;
                warm.erase(gone);
            }
            used_mb += kind.size_mb;
            warm.push_back({called, 0});
        }
        touch(warm.back(), found == warm.end());
    }
    return cost_ms;
}

double cost_of_least_recently_used(const trace& played, std::int64_t budget_mb) {
    return cost_of(
        played, budget_mb, [](warm_one&, bool) {}, [](auto& warm) { return warm.begin(); });
}

double cost_of_greedy_dual(const trace& played, std::int64_t budget_mb) {
    greedy_dual policy;
    std::vector<std::uint64_t> calls(played.functions.size());
    return cost_of(
        played, budget_mb,
        [&](warm_one& used, bool) {
            const auto& kind = played.functions[used.function];
            used.priority = policy.priority_of({.calls = ++calls[used.function],
                                                .start_ms = kind.start_ms,
                                                .size_mb = kind.size_mb});
        },
        [&](auto& warm) {
            const auto least = std::ranges::min_element(warm, {}, &warm_one::priority);
            policy.evicted(least->priority);
            calls[least->function] = 0;
            return least;
        });
}

TEST(eviction, greedy_dual_beats_least_recently_used_on_skewed_traces) {
    for (const unsigned seed : {1U, 2U, 3U}) {
        for (const double skew : {0.6, 0.9, 1.2}) {
            const trace played(seed, 200, skew);
            for (const std::int64_t budget_mb : {4'096, 16'384, 32'768}) {
                EXPECT_LT(cost_of_greedy_dual(played, budget_mb),
                          cost_of_least_recently_used(played, budget_mb) * 0.9)
                    << "seed " << seed << ", skew " << skew << ", budget " << budget_mb;
            }
        }
    }
}

TEST(eviction, a_budget_that_holds_all_costs_each_start_once) {
    const trace played(4, 50, 0.9);
    EXPECT_EQ(cost_of_greedy_dual(played, 1 << 20), cost_of_least_recently_used(played, 1 << 20));
}

}  // namespace
}  // namespace hearth::worker
