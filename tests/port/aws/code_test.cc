// What the code store on S3 does beyond its port's promises.

#include <gtest/gtest.h>

#include "tests/port/aws/fixtures.h"
#include "tests/port/code_store_conformance.h"

namespace hearth::test {
namespace {

class aws_code_store : public testing::Test {
protected:
    void SetUp() override {
        if (const auto missing = aws_code_fixture::missing(); !missing.empty()) {
            GTEST_SKIP() << missing;
        }
        home_.emplace();
    }
    template <class T>
    T run(task<T> work) {
        return home_->loop().run(std::move(work));
    }
    static std::string content_of(std::size_t bytes) {
        std::string content(bytes, '\0');
        for (std::size_t i = 0; i < bytes; ++i) {
            content[i] = static_cast<char>(i * 31 + i / 251);
        }
        return content;
    }

    std::optional<aws_code_fixture> home_;
};

TEST_F(aws_code_store, what_is_larger_than_a_part_goes_and_comes_in_parts) {
    const auto content = content_of(aws::code_store::part_bytes * 2 + 12'345);
    const auto hash = sha256_of(content);
    const auto file = file_with(content);
    const auto stored = run(home_->port().put(hash, file.get(), content.size(), soon()));
    ASSERT_TRUE(stored) << stored.error().message;
    auto opened = run(home_->port().open(hash, soon()));
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_TRUE(read_all(opened->get()) == content);
}

TEST_F(aws_code_store, content_that_was_damaged_in_the_bucket_is_corrupt) {
    const auto hash = sha256_of("good");
    ASSERT_TRUE(run(home_->bucket().put(concat("code/", hash), "evil", "text/plain", soon())));
    EXPECT_EQ(run(home_->port().open(hash, soon())).error().code, errc::corrupt);
}

TEST_F(aws_code_store, pages_of_other_objects_are_not_the_end_of_the_list) {
    // A hash begins with a digit or a to f: these stand before it.
    for (const char* other : {"code/!1", "code/!2", "code/!3"}) {
        ASSERT_TRUE(run(home_->bucket().put(other, "other", "text/plain", soon())));
    }
    const auto hash = sha256_of("content");
    const auto file = file_with("content");
    ASSERT_TRUE(run(home_->port().put(hash, file.get(), 7, soon())));
    const auto first = run(home_->port().list("", 1, soon()));
    ASSERT_TRUE(first) << first.error().message;
    ASSERT_EQ(first->size(), 1u);
    EXPECT_EQ(first->front().sha256, hash);
    EXPECT_TRUE(run(home_->port().list(hash, 1, soon()))->empty());
}

TEST_F(aws_code_store, presigned_urls_work_for_whoever_has_them) {
    const std::string content = "print('hello')\n";
    const auto hash = sha256_of(content);
    const auto put =
        run(home_->port().presign_put(hash, content.size(), "text/x-python", seconds(60), soon()));
    ASSERT_TRUE(put) << put.error().message;
    EXPECT_TRUE(put->contains("content-length%3Bcontent-type%3Bhost%3Bx-amz-checksum-sha256"));
    const auto sent = run(home_->transport().send({.method = "PUT",
                                                   .url = *put,
                                                   .headers = {{"content-type", "text/x-python"}},
                                                   .body = content},
                                                  soon()));
    ASSERT_TRUE(sent) << sent.error().message;
    EXPECT_EQ(sent->status, 200);
    const auto get = run(home_->port().presign_get(hash, seconds(60), soon()));
    ASSERT_TRUE(get);
    EXPECT_EQ(run(home_->transport().send({.url = *get}, soon()))->body, content);
    EXPECT_EQ(run(home_->port().presign_put("no hash", 1, "x/y", seconds(60), soon())).error().code,
              errc::invalid_argument);
}

}  // namespace
}  // namespace hearth::test
