#include "worker/code_cache.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/concat.h"
#include "coro/when_all.h"
#include "tests/port/temporary_directory.h"
#include "tests/support/direct_intake.h"
#include "tests/support/sockets.h"
#include "tests/support/test_executor.h"

namespace hearth::worker {
namespace {

namespace fs = std::filesystem;
using test::soon;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

// A store that is slow or broken when told to be; what it holds is 1000 bytes per hash.
class scripted_store final : public faas::code_store {
public:
    task<result<unique_fd>> open(std::string_view sha256, deadline) override {
        ++opened;
        if (hold != nullptr) {
            [[maybe_unused]] const auto released = co_await hold->wait();
        }
        if (failures > 0) {
            --failures;
            co_return fail(errc::unavailable, "the store is away");
        }
        unique_fd file(::memfd_create("code", MFD_CLOEXEC));
        test::write_fully(file, std::string(sha256) + std::string(1000 - sha256.size(), '#'));
        ::lseek(file.get(), 0, SEEK_SET);
        co_return file;
    }
    task<result<>> put(std::string_view, int, std::size_t, deadline) override {
        co_return fail(errc::internal, "unused");
    }
    task<result<>> remove(std::string_view, deadline) override { co_return result<>{}; }
    task<result<std::vector<stored>>> list(std::string_view, std::size_t, deadline) override {
        co_return std::vector<stored>{};
    }

    int opened = 0;
    int failures = 0;
    event* hold = nullptr;
};

using shared_code = std::shared_ptr<const code_directory>;

class code_cache_test : public ::testing::Test {
protected:
    explicit code_cache_test(std::size_t bytes_max = 2'500) { open(bytes_max); }
    void open(std::size_t bytes_max) {
        auto made = code_cache::create(folder_.path(), store_, archives_, blocking_, bytes_max);
        ASSERT_TRUE(made) << made.error().message;
        cache_ = std::move(*made);
    }
    static faas::function function(std::string sha256, std::string file = "hello.py") {
        faas::function target;
        target.code_sha256 = std::move(sha256);
        target.code_file = std::move(file);
        return target;
    }
    result<shared_code> get(const std::string& sha256) {
        const auto target = function(sha256);
        return loop_.run(cache_->get(target, soon()));
    }
    static std::string file_in(const code_directory& code, const std::string& name) {
        const unique_fd file(::openat(code.descriptor.get(), name.c_str(), O_RDONLY));
        char text[3] = {};
        return file && ::read(file.get(), text, 2) == 2 ? text : "(none)";
    }
    [[nodiscard]] std::set<std::string> folders() const {
        std::set<std::string> names;
        for (const auto& each : fs::directory_iterator(folder_.path())) {
            names.insert(each.path().filename());
        }
        return names;
    }

    test::test_executor loop_;
    test::temporary_directory folder_;
    thread_pool blocking_{2, 64};
    test::direct_intake archives_{blocking_};
    scripted_store store_;
    std::unique_ptr<code_cache> cache_;
};

TEST_F(code_cache_test, unpacks_a_file_under_its_own_name_readable_by_all) {
    const auto code = get("aa");
    ASSERT_TRUE(code) << code.error().message;
    EXPECT_EQ(file_in(**code, "hello.py"), "aa");
    struct stat status{};
    ASSERT_EQ(::fstatat((*code)->descriptor.get(), "hello.py", &status, 0), 0);
    EXPECT_EQ(status.st_mode & 0777, 0644u);
    EXPECT_EQ((*code)->bytes, 1000u);
}

TEST_F(code_cache_test, fetches_once_for_any_number_of_waiters) {
    event held;
    store_.hold = &held;
    const auto target = function("aa");
    std::vector<test::test_loop::pending<result<shared_code>>> waiting;
    for (int i = 0; i < 50; ++i) {
        waiting.push_back(loop_.start(cache_->get(target, soon())));
    }
    loop_.run_ready_tasks();
    held.set();
    std::set<const code_directory*> answers;
    for (auto& each : waiting) {
        auto code = each.get();
        ASSERT_TRUE(code);
        answers.insert(code->get());
    }
    EXPECT_EQ(answers.size(), 1u);
    EXPECT_EQ(store_.opened, 1);
    EXPECT_EQ(cache_->misses(), 1u);
    EXPECT_EQ(cache_->bytes(), 1000u);
}

TEST_F(code_cache_test, a_waiter_leaves_at_its_deadline_and_the_fetch_goes_on) {
    event held;
    store_.hold = &held;
    const auto target = function("aa");
    auto first = loop_.start(cache_->get(target, soon()));
    loop_.run_ready_tasks();
    const auto late = loop_.run(cache_->get(target, test::passed()));
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, errc::deadline_exceeded);
    held.set();
    EXPECT_TRUE(first.get());
}

TEST_F(code_cache_test, the_same_bytes_under_another_file_name_are_another_module) {
    const auto one = function("aa", "one.py");
    const auto two = function("aa", "two.py");
    const auto first = loop_.run(cache_->get(one, soon()));
    const auto second = loop_.run(cache_->get(two, soon()));
    ASSERT_TRUE(first && second);
    EXPECT_EQ(file_in(**first, "one.py"), "aa");
    EXPECT_EQ(file_in(**second, "two.py"), "aa");
    EXPECT_EQ(file_in(**second, "one.py"), "(none)");
}

TEST_F(code_cache_test, a_failed_fetch_is_told_to_all_and_tried_again_by_the_next) {
    event held;
    store_.hold = &held;
    store_.failures = 1;
    const auto target = function("aa");
    auto first = loop_.start(cache_->get(target, soon()));
    auto second = loop_.start(cache_->get(target, soon()));
    loop_.run_ready_tasks();
    held.set();
    EXPECT_EQ(first.get().error().code, errc::unavailable);
    EXPECT_EQ(second.get().error().code, errc::unavailable);
    EXPECT_EQ(cache_->bytes(), 0u);
    EXPECT_TRUE(get("aa"));
    EXPECT_EQ(store_.opened, 2);
}

TEST_F(code_cache_test, drops_what_was_used_longest_ago_when_over_the_limit) {
    ASSERT_TRUE(get("aa"));
    ASSERT_TRUE(get("bb"));
    ASSERT_TRUE(get("aa"));  // used again: now bb is the oldest
    ASSERT_TRUE(get("cc"));
    EXPECT_EQ(cache_->bytes(), 2000u);
    EXPECT_THAT(folders(), UnorderedElementsAre("aa-hello.py", "cc-hello.py"));
    ASSERT_TRUE(get("aa"));
    EXPECT_EQ(store_.opened, 3) << "aa stayed";
    ASSERT_TRUE(get("bb"));
    EXPECT_EQ(store_.opened, 4) << "bb is fetched anew";
}

TEST_F(code_cache_test, what_somebody_holds_stays_even_over_the_limit) {
    const auto a = get("aa");
    const auto b = get("bb");
    const auto c = get("cc");
    ASSERT_TRUE(a && b && c);
    EXPECT_EQ(cache_->bytes(), 3000u);
    EXPECT_EQ(file_in(**a, "hello.py"), "aa");
    EXPECT_EQ(file_in(**b, "hello.py"), "bb");
    EXPECT_EQ(file_in(**c, "hello.py"), "cc") << "the newest is whole, although over the limit";
}

TEST_F(code_cache_test, code_larger_than_the_whole_limit_is_usable_while_it_is_held) {
    open(10);
    {
        const auto code = get("aa");
        ASSERT_TRUE(code);
        EXPECT_EQ(file_in(**code, "hello.py"), "aa");
    }
    ASSERT_TRUE(get("bb"));
    EXPECT_EQ(cache_->bytes(), 1000u) << "only the last one is left";
    EXPECT_THAT(folders(), ElementsAre("bb-hello.py"));
}

TEST_F(code_cache_test, many_small_functions_do_not_use_up_the_descriptors) {
    open(code_cache::bytes_max_default);
    const std::size_t before = test::open_descriptors();
    for (std::size_t i = 0; i < code_cache::entries_max + 50; ++i) {
        ASSERT_TRUE(get(concat("code-", i)));
    }
    EXPECT_EQ(cache_->entries(), code_cache::entries_max);
    EXPECT_EQ(folders().size(), code_cache::entries_max);
    EXPECT_EQ(test::open_descriptors(), before + code_cache::entries_max);
}

TEST_F(code_cache_test, evicted_and_fetched_again_many_times_at_once_leaves_no_folder_behind) {
    open(1'000);
    for (int round = 0; round < 10; ++round) {
        const auto a = function("aa");
        const auto b = function("bb");
        const auto c = function("cc");
        auto first = loop_.start(cache_->get(a, soon()));
        auto second = loop_.start(cache_->get(b, soon()));
        auto third = loop_.start(cache_->get(c, soon()));
        const auto codes = std::array{first.get(), second.get(), third.get()};
        for (const auto& each : codes) {
            ASSERT_TRUE(each) << each.error().message;
            EXPECT_NE(file_in(**each, "hello.py"), "(none)");
        }
    }
    ASSERT_TRUE(get("dd"));
    EXPECT_EQ(folders().size(), cache_->bytes() / 1000);
}

TEST_F(code_cache_test, a_damaged_archive_is_refused_and_leaves_no_folder) {
    auto target = function("aa");
    target.kind = faas::code_kind::zip;
    const auto code = loop_.run(cache_->get(target, soon()));
    ASSERT_FALSE(code);
    EXPECT_EQ(code.error().code, errc::invalid_argument);
    EXPECT_TRUE(folders().empty());
}

TEST_F(code_cache_test, begins_with_an_empty_folder) {
    fs::create_directories(folder_.file("unpacking-aa/left/over"));
    std::ofstream(folder_.file("aa-hello.py")) << "stale";
    open(2'500);
    EXPECT_TRUE(folders().empty());
    EXPECT_TRUE(get("aa"));
}

}  // namespace
}  // namespace hearth::worker
