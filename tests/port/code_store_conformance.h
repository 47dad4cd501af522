#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/ids.h"
#include "faas/ports.h"
#include "tests/port/missing.h"
#include "tests/support/test_executor.h"

// What every code store must hold. The fixture is default-constructible, starts empty and has
//     test_executor& loop();
//     faas::code_store& port();

namespace hearth::test {

[[nodiscard]] inline std::string sha256_of(std::string_view content) {
    std::array<std::byte, 32> digest;
    EXPECT_EQ(
        EVP_Digest(content.data(), content.size(), reinterpret_cast<unsigned char*>(digest.data()),
                   nullptr, EVP_sha256(), nullptr),
        1);
    return to_hex(digest);
}

// A file in memory with this content, its position at the end.
[[nodiscard]] inline unique_fd file_with(std::string_view content) {
    unique_fd file(::memfd_create("content", MFD_CLOEXEC));
    EXPECT_EQ(::write(file.get(), content.data(), content.size()),
              static_cast<ssize_t>(content.size()));
    return file;
}

// The content from the descriptor's position on.
[[nodiscard]] inline std::string read_all(int fd) {
    std::string content;
    std::array<char, 65536> buffer;
    for (;;) {
        const ssize_t count = ::read(fd, buffer.data(), buffer.size());
        if (count <= 0) {
            return content;
        }
        content.append(buffer.data(), static_cast<std::size_t>(count));
    }
}

template <class Fixture>
class code_store_conformance : public ::testing::Test {
protected:
    void SetUp() override {
        if (const auto missing = missing_for(fixture_); !missing.empty()) {
            GTEST_SKIP() << missing;
        }
    }
    template <class T>
    T run(task<T> work) {
        return fixture_.loop().run(std::move(work));
    }
    faas::code_store& store() { return fixture_.port(); }
    // Stores `content` and returns its hash.
    std::string put(std::string_view content) {
        std::string hash = sha256_of(content);
        const unique_fd file = file_with(content);
        const auto stored = run(store().put(hash, file.get(), content.size(), soon()));
        EXPECT_TRUE(stored) << stored.error().message;
        return hash;
    }
    std::string get(std::string_view hash) {
        auto opened = run(store().open(hash, soon()));
        EXPECT_TRUE(opened) << opened.error().message;
        return opened ? read_all(opened->get()) : std::string{};
    }
    template <class T>
    static errc code_of(const result<T>& failed) {
        return failed ? errc::internal : failed.error().code;
    }

    Fixture fixture_;
};
TYPED_TEST_SUITE_P(code_store_conformance);

TYPED_TEST_P(code_store_conformance, opens_what_was_put_at_offset_zero) {
    const std::string hash = this->put("def handler(event, context): return event\n");
    EXPECT_EQ(this->get(hash), "def handler(event, context): return event\n");
    EXPECT_EQ(this->get(hash), "def handler(event, context): return event\n");
}

TYPED_TEST_P(code_store_conformance, keeps_empty_and_large_content) {
    std::string large(3'000'000, '\0');
    for (std::size_t i = 0; i < large.size(); ++i) {
        large[i] = static_cast<char>(i * 31 + i / 251);
    }
    for (const std::string_view content : {std::string_view(), std::string_view(large)}) {
        EXPECT_EQ(this->get(this->put(content)), content);
    }
}

TYPED_TEST_P(code_store_conformance, storing_the_same_content_twice_succeeds) {
    const std::string hash = this->put("print(1)");
    EXPECT_EQ(this->put("print(1)"), hash);
    EXPECT_EQ(this->get(hash), "print(1)");
}

TYPED_TEST_P(code_store_conformance, concurrent_puts_of_the_same_content_succeed) {
    const std::string content(500'000, 'c');
    const std::string hash = sha256_of(content);
    const unique_fd file = file_with(content);
    std::vector<test_loop::pending<result<>>> puts;
    for (int i = 0; i < 8; ++i) {
        puts.push_back(this->fixture_.loop().start(
            this->store().put(hash, file.get(), content.size(), soon())));
    }
    for (auto& each : puts) {
        EXPECT_TRUE(each.get());
    }
    EXPECT_EQ(this->get(hash), content);
}

TYPED_TEST_P(code_store_conformance, content_that_does_not_match_its_hash_is_corrupt) {
    const std::string hash = sha256_of("what was meant");
    const unique_fd file = file_with("what was sent!");
    EXPECT_EQ(this->code_of(this->run(this->store().put(hash, file.get(), 14, soon()))),
              errc::corrupt);
    EXPECT_EQ(this->code_of(this->run(this->store().open(hash, soon()))), errc::not_found);
}

TYPED_TEST_P(code_store_conformance, content_shorter_than_announced_is_corrupt) {
    const std::string hash = sha256_of("short");
    const unique_fd file = file_with("short");
    EXPECT_EQ(this->code_of(this->run(this->store().put(hash, file.get(), 6, soon()))),
              errc::corrupt);
}

TYPED_TEST_P(code_store_conformance, a_wrong_put_leaves_stored_content_alone) {
    const std::string hash = this->put("good");
    const unique_fd file = file_with("evil");
    EXPECT_EQ(this->code_of(this->run(this->store().put(hash, file.get(), 4, soon()))),
              errc::corrupt);
    EXPECT_EQ(this->get(hash), "good");
}

TYPED_TEST_P(code_store_conformance, refuses_what_is_not_a_hash) {
    const unique_fd file = file_with("x");
    const std::string upper = std::string(63, 'a') + "A";
    for (const std::string_view name :
         {std::string_view("../../etc/passwd"), std::string_view(""), std::string_view(upper)}) {
        EXPECT_EQ(this->code_of(this->run(this->store().put(name, file.get(), 1, soon()))),
                  errc::invalid_argument);
        EXPECT_EQ(this->code_of(this->run(this->store().open(name, soon()))),
                  errc::invalid_argument);
        EXPECT_EQ(this->code_of(this->run(this->store().remove(name, soon()))),
                  errc::invalid_argument);
    }
}

TYPED_TEST_P(code_store_conformance, refuses_more_than_the_largest_upload) {
    const std::string hash = sha256_of("");
    const unique_fd file = file_with("");
    EXPECT_EQ(this->code_of(
                  this->run(this->store().put(hash, file.get(), faas::code_bytes_max + 1, soon()))),
              errc::too_large);
}

TYPED_TEST_P(code_store_conformance, what_is_removed_is_gone_and_removing_it_again_succeeds) {
    const std::string hash = this->put("gone soon");
    ASSERT_TRUE(this->run(this->store().remove(hash, soon())));
    EXPECT_EQ(this->code_of(this->run(this->store().open(hash, soon()))), errc::not_found);
    EXPECT_TRUE(this->run(this->store().remove(hash, soon())));
}

TYPED_TEST_P(code_store_conformance, an_open_descriptor_outlives_the_removal) {
    const std::string hash = this->put("still read");
    auto opened = this->run(this->store().open(hash, soon()));
    ASSERT_TRUE(opened);
    ASSERT_TRUE(this->run(this->store().remove(hash, soon())));
    EXPECT_EQ(read_all(opened->get()), "still read");
}

TYPED_TEST_P(code_store_conformance, lists_hashes_in_order_page_by_page) {
    std::vector<std::string> hashes;
    for (const std::string_view content : {"a", "b", "c", "d", "e"}) {
        hashes.push_back(this->put(content));
    }
    std::ranges::sort(hashes);
    std::vector<std::string> seen;
    std::string after_hash;
    for (;;) {
        const auto some = this->run(this->store().list(after_hash, 2, soon()));
        ASSERT_TRUE(some);
        EXPECT_LE(some->size(), 2u);
        if (some->empty()) {
            break;
        }
        for (const auto& each : *some) {
            seen.push_back(each.sha256);
        }
        after_hash = seen.back();
    }
    EXPECT_EQ(seen, hashes);
}

TYPED_TEST_P(code_store_conformance, lists_when_code_was_stored_and_storing_it_again_renews_that) {
    const auto stored_at = [this] {
        const auto listed = this->run(this->store().list("", 10, soon()));
        EXPECT_TRUE(listed && listed->size() == 1u);
        return listed && !listed->empty() ? listed->front().at : 0;
    };
    constexpr epoch_ms minute = 60'000;  // more than clocks of one host or a stand-in differ by
    this->put("again");
    const epoch_ms first = stored_at();
    EXPECT_LT(std::abs(first - wall_clock_ms()), minute);
    // Times of stores are as coarse as a second.
    this->run([](auto& store, std::string hash) -> task<bool> {
        const unique_fd file = file_with("again");
        const deadline until = soon();
        epoch_ms before = 0;
        epoch_ms now = 0;
        while (steady_clock::now() < until && now <= before) {
            auto put = co_await store.put(hash, file.get(), 5, until);
            EXPECT_TRUE(put);
            auto listed = co_await store.list("", 10, until);
            now = listed->front().at;
            before = before == 0 ? now : before;
        }
        EXPECT_GT(now, before);
        co_return true;
    }(this->store(), sha256_of("again")));
    EXPECT_GT(stored_at(), first);
}

TYPED_TEST_P(code_store_conformance, a_passed_deadline_changes_nothing) {
    const std::string hash = sha256_of("late");
    const unique_fd file = file_with("late");
    EXPECT_EQ(this->code_of(this->run(this->store().put(hash, file.get(), 4, passed()))),
              errc::deadline_exceeded);
    EXPECT_EQ(this->code_of(this->run(this->store().open(hash, soon()))), errc::not_found);
    this->put("late");
    EXPECT_EQ(this->code_of(this->run(this->store().open(hash, passed()))),
              errc::deadline_exceeded);
    EXPECT_EQ(this->code_of(this->run(this->store().remove(hash, passed()))),
              errc::deadline_exceeded);
    EXPECT_EQ(this->get(hash), "late");
}

REGISTER_TYPED_TEST_SUITE_P(
    code_store_conformance, opens_what_was_put_at_offset_zero, keeps_empty_and_large_content,
    storing_the_same_content_twice_succeeds, concurrent_puts_of_the_same_content_succeed,
    content_that_does_not_match_its_hash_is_corrupt, content_shorter_than_announced_is_corrupt,
    a_wrong_put_leaves_stored_content_alone, refuses_what_is_not_a_hash,
    refuses_more_than_the_largest_upload, what_is_removed_is_gone_and_removing_it_again_succeeds,
    an_open_descriptor_outlives_the_removal, lists_hashes_in_order_page_by_page,
    lists_when_code_was_stored_and_storing_it_again_renews_that, a_passed_deadline_changes_nothing);

}  // namespace hearth::test
