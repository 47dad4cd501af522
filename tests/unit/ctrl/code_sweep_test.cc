#include "ctrl/code_sweep.h"

#include <algorithm>
#include <array>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/sha.h>
#include <sys/mman.h>

#include "base/ids.h"
#include "tests/port/embedded_fixtures.h"
#include "tests/support/sockets.h"

// Real table and files; only the clock is made.

namespace hearth::ctrl {
namespace {

using test::soon;
using ::testing::ElementsAre;

constexpr milliseconds day{86'400'000};

// The embedded store, which can be looked into between two steps of a sweep.
class watched_store final : public faas::code_store {
public:
    explicit watched_store(faas::code_store& real) : real_(real) {}

    std::function<void()> before_list;

    task<result<>> put(std::string_view sha256, int file, std::size_t size,
                       deadline until) override {
        return real_.put(sha256, file, size, until);
    }
    task<result<unique_fd>> open(std::string_view sha256, deadline until) override {
        return real_.open(sha256, until);
    }
    task<result<>> remove(std::string_view sha256, deadline until) override {
        return real_.remove(sha256, until);
    }
    task<result<std::vector<stored>>> list(std::string_view after, std::size_t limit,
                                           deadline until) override {
        if (before_list) {
            before_list();
        }
        auto found = co_await real_.list(after, limit, until);
        if (!found) {
            co_return found;
        }
        for (auto& each : *found) {
            each.at = times.contains(each.sha256) ? times[each.sha256] : each.at;
        }
        co_return found;
    }

    std::map<std::string, epoch_ms> times;  // in the place of the files' own

private:
    faas::code_store& real_;
};

class code_sweep_test : public test::embedded_fixture, public ::testing::Test {
protected:
    std::string store(std::string_view content) {
        std::array<std::byte, 32> digest;
        ::SHA256(reinterpret_cast<const unsigned char*>(content.data()), content.size(),
                 reinterpret_cast<unsigned char*>(digest.data()));
        const std::string hash = to_hex(digest);
        const unique_fd file(::memfd_create("code", MFD_CLOEXEC));
        test::write_fully(file, content);
        EXPECT_TRUE(loop_.run(store_->put(hash, file.get(), content.size(), soon())));
        code_.times[hash] = now_;
        return hash;
    }
    void use(std::string id, std::string hash) {
        faas::function used;
        used.id = std::move(id);
        used.name = "probe";
        used.runtime = "python";
        used.handlers = {"main.handler"};
        used.handler = "main.handler";
        used.code_file = "main.py";
        used.code_sha256 = std::move(hash);
        ASSERT_TRUE(loop_.run(table_.create(used, soon())));
    }
    code_sweep make(code_sweep_options options = {}) {
        options.now = [this] {
            return now_;
        };
        return {table_, code_, options};
    }
    std::size_t removed_by(code_sweep& sweep) {
        const auto removed = loop_.run(sweep.sweep(soon()));
        EXPECT_TRUE(removed) << removed.error().message;
        return removed.value_or(0);
    }
    std::vector<std::string> held() {
        std::vector<std::string> hashes;
        const auto listed = loop_.run(store_->list("", 100, soon()));
        for (const auto& each : listed.value()) {
            hashes.push_back(each.sha256);
        }
        return hashes;
    }

    thread_pool pool_{2, 64};
    std::unique_ptr<embedded::code_store> store_ =
        std::move(*embedded::code_store::open(directory_.file("code"), pool_));
    embedded::function_table table_{*database_};
    epoch_ms now_ = 1'700'000'000'000;
    watched_store code_{*store_};
};

TEST_F(code_sweep_test, removes_only_code_that_no_function_uses) {
    const auto used = store("used");
    use("function-1", used);
    store("unused");
    now_ += day.count();
    auto sweep = make({.looks = 1});
    EXPECT_EQ(removed_by(sweep), 1u);
    EXPECT_THAT(held(), ElementsAre(used));
    EXPECT_EQ(sweep.counts().removed, 1u);
}

TEST_F(code_sweep_test, code_that_was_stored_within_the_grace_stays) {
    store("being uploaded");
    now_ += day.count() - 1;
    auto sweep = make({.looks = 1});
    EXPECT_EQ(removed_by(sweep), 0u);
    now_ += 1;
    EXPECT_EQ(removed_by(sweep), 1u);
}

TEST_F(code_sweep_test, code_goes_when_two_runs_in_a_row_have_found_it_unused) {
    const auto hash = store("was used until now");
    now_ += day.count();
    auto sweep = make();
    EXPECT_EQ(removed_by(sweep), 0u);
    use("function-1", hash);
    EXPECT_EQ(removed_by(sweep), 0u);
    ASSERT_TRUE(loop_.run(table_.remove("function-1", soon())));
    EXPECT_EQ(removed_by(sweep), 0u) << "it was used in between";
    EXPECT_EQ(removed_by(sweep), 1u);
}

TEST_F(code_sweep_test, code_that_is_stored_again_right_before_its_removal_stays) {
    const auto hash = store("came back");
    now_ += day.count();
    auto sweep = make({.looks = 1});
    int lists = 0;
    code_.before_list = [&] {
        // The first two see it all and the end; the third is the look before the removal.
        if (++lists == 3) {
            code_.times[hash] = now_;
        }
    };
    EXPECT_EQ(removed_by(sweep), 0u);
    EXPECT_EQ(lists, 3);
    EXPECT_THAT(held(), ElementsAre(hash));
}

TEST_F(code_sweep_test, without_a_grace_nothing_is_looked_at_twice) {
    for (const auto* each : {"a", "b", "c"}) {
        store(each);
    }
    auto sweep = make({.grace = milliseconds(0), .looks = 1});
    int lists = 0;
    code_.before_list = [&] {
        ++lists;
    };
    EXPECT_EQ(removed_by(sweep), 3u);
    EXPECT_EQ(lists, 2) << "each reads the whole folder";
}

TEST_F(code_sweep_test, a_run_removes_no_more_than_it_may_and_the_next_goes_on) {
    for (const auto* each : {"a", "b", "c"}) {
        store(each);
    }
    now_ += day.count();
    auto sweep = make({.looks = 1, .removals_max = 2});
    EXPECT_EQ(removed_by(sweep), 2u);
    EXPECT_EQ(removed_by(sweep), 1u);
    EXPECT_TRUE(held().empty());
}

TEST_F(code_sweep_test, however_much_code_is_used_what_lies_behind_it_is_found) {
    std::vector<std::string> hashes;
    for (int i = 0; i < 510; ++i) {  // more than a page
        hashes.push_back(store(std::to_string(i)));
    }
    std::ranges::sort(hashes);
    for (std::size_t i = 0; i + 1 < hashes.size(); ++i) {
        use(std::to_string(i), hashes[i]);
    }
    now_ += day.count();
    auto sweep = make({.part_max = 200});
    EXPECT_EQ(removed_by(sweep), 0u) << "found for the first time";
    EXPECT_EQ(removed_by(sweep), 1u);
    hashes.pop_back();
    EXPECT_EQ(loop_.run(store_->list("", 1'000, soon()))->size(), hashes.size());
}

TEST_F(code_sweep_test, two_sweeps_at_once_do_no_harm) {
    const auto used = store("used");
    use("function-1", used);
    store("unused");
    now_ += day.count();
    auto one = make({.looks = 1});
    auto other = make({.looks = 1});
    auto first = loop_.start(one.sweep(soon()));
    auto second = loop_.start(other.sweep(soon()));
    EXPECT_TRUE(first.get());
    EXPECT_TRUE(second.get());
    EXPECT_THAT(held(), ElementsAre(used));
}

TEST_F(code_sweep_test, a_run_that_cannot_see_all_removes_nothing) {
    store("unknown");
    now_ += day.count();
    auto sweep = make({.looks = 1});
    EXPECT_FALSE(loop_.run(sweep.sweep(steady_clock::now())));
    EXPECT_EQ(held().size(), 1u);
}

}  // namespace
}  // namespace hearth::ctrl
