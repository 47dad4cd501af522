// Against an S3 server that verifies signatures, in headers and in URLs: Swift's S3 interface,
// where it is installed.

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "aws/code_store.h"
#include "aws/text.h"
#include "tests/port/aws/fixtures.h"

namespace hearth::test {
namespace {

// Debian's python3 has Swift; another that comes first on PATH need not.
constexpr const char* python = "/usr/bin/python3";

class swift_server {
public:
    swift_server() {
        fd_pair in = make_pipe();
        fd_pair out = make_pipe();
        std::string script = HEARTH_SWIFT_SCRIPT;
        std::string program = python;
        char* const arguments[] = {program.data(), script.data(), nullptr};
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, in.ours.get(), 0);
        ::posix_spawn_file_actions_adddup2(&actions, out.theirs.get(), 1);
        const int failed = ::posix_spawn(&pid_, python, &actions, nullptr, arguments, environ);
        ::posix_spawn_file_actions_destroy(&actions);
        HEARTH_CHECK(failed == 0, "python3 cannot be started");
        out.theirs.reset();
        stdin_ = std::move(in.theirs);
        char c = 0;
        while (::read(out.ours.get(), &c, 1) == 1 && c != '\n') {
            port_ += c;
        }
        HEARTH_CHECK(c == '\n', "Swift did not start; its reason is above");
    }
    swift_server(const swift_server&) = delete;
    swift_server& operator=(const swift_server&) = delete;
    ~swift_server() {
        stdin_.reset();  // it removes its folder then
        ::waitpid(pid_, nullptr, 0);
    }
    [[nodiscard]] static bool installed() {
        return std::filesystem::exists("/usr/bin/swift-proxy-server") &&
               std::filesystem::exists("/usr/bin/swift-object-server");
    }
    [[nodiscard]] std::string url() const { return concat("http://127.0.0.1:", port_); }

private:
    pid_t pid_ = -1;
    unique_fd stdin_;
    std::string port_;
};

class aws_on_swift : public testing::Test {
protected:
    class home : public aws_fixture {
    public:
        ~home() { end(); }
    };

    void SetUp() override {
        if (!swift_server::installed()) {
            GTEST_SKIP() << "NOT TESTED: S3's signatures, since Swift is missing; do: apt-get "
                            "install swift-proxy swift-account swift-container swift-object";
        }
        static swift_server shared;  // tests make buckets of their own
        home_.emplace();
        config_.emplace(settings_at(shared.url()));
        s3_.emplace(home_->transport(), &keys_, *config_, aws::service::s3);
        bucket_.emplace(*s3_, concat("bucket-", make_uuid()));
        home_->ask(*s3_, {.operation = "CreateBucket",
                          .method = "PUT",
                          .path = "/",
                          .where = config_->bucket_endpoint(bucket_->name())});
    }
    template <class T>
    T run(task<T> work) {
        return home_->loop().run(std::move(work));
    }
    // By whoever has the URL, without keys.
    http::client_response fetch(std::string method, const std::string& url, std::string body = {},
                                aws::fields headers = {}) {
        auto answer = run(home_->transport().send({.method = std::move(method),
                                                   .url = url,
                                                   .headers = std::move(headers),
                                                   .body = std::move(body)},
                                                  soon()));
        HEARTH_CHECK(answer.has_value(), "Swift does not answer");
        return std::move(*answer);
    }
    aws::bucket bucket_of(aws::client& other) { return {other, bucket_->name()}; }

    aws::fixed_credentials keys_{{"test:tester", "testing", ""}};
    std::optional<home> home_;
    std::optional<aws::settings> config_;
    std::optional<aws::client> s3_;
    std::optional<aws::bucket> bucket_;
    thread_pool blocking_{1, 16};
};

TEST_F(aws_on_swift, objects_under_names_that_are_hard_to_sign_come_back_as_they_were) {
    for (const std::string key :
         {"plain", "with blank", "plus+and&", "a/b//c", "~tilde.-_", "percent%41", "колос",
          "(round)[square]{curly}", "semi;colon:at@", "quote'double\"", "a=b?c#d", "dots/../x/."}) {
        const auto content = concat("content of ", key);
        const auto put = run(bucket_->put(key, content, "text/plain", soon()));
        ASSERT_TRUE(put) << key << ": " << put.error().message;
        const auto got = run(bucket_->get(key, 1000, soon()));
        ASSERT_TRUE(got) << key << ": " << got.error().message;
        EXPECT_EQ(got->body, content);
        const auto listed = run(bucket_->list(key, "", 10, soon()));
        ASSERT_TRUE(listed) << key << ": " << listed.error().message;
        EXPECT_TRUE(std::ranges::find(*listed, key) != listed->end()) << key;
        EXPECT_TRUE(run(bucket_->remove(key, soon()))) << key;
    }
}

TEST_F(aws_on_swift, a_wrong_secret_is_refused_everywhere) {
    aws::fixed_credentials wrong({"test:tester", "testinG", ""});
    aws::client thief(home_->transport(), &wrong, *config_, aws::service::s3);
    auto theirs = bucket_of(thief);
    const auto put = run(theirs.put("x", "x", "text/plain", soon()));
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code, errc::permission_denied) << put.error().message;
    EXPECT_EQ(run(theirs.list("", "", 1, soon())).error().code, errc::permission_denied);
    const auto url = run(theirs.presign("GET", "x", {}, seconds(60), soon())).value();
    EXPECT_EQ(fetch("GET", url).status, 403);
}

TEST_F(aws_on_swift, a_clock_that_is_wrong_is_corrected_by_the_servers_date) {
    aws::client late(home_->transport(), &keys_, *config_, aws::service::s3, {.now = [] {
                         return wall_clock_ms() - 3'600'000;
                     }});
    auto same = bucket_of(late);
    const auto put = run(same.put("x", "x", "text/plain", soon()));
    EXPECT_TRUE(put) << put.error().message;
    EXPECT_EQ(late.counts().clock_corrections, 1u);
}

TEST_F(aws_on_swift, ranges_and_uploads_in_parts_are_whole) {
    const auto content = patterned_text(aws::code_store::part_bytes + (1u << 20));
    const auto hash = aws::sha256_hex(content);
    const unique_fd file(::memfd_create("code", MFD_CLOEXEC));
    ASSERT_EQ(::pwrite(file.get(), content.data(), content.size(), 0),
              static_cast<ssize_t>(content.size()));
    aws::code_store store(*bucket_, blocking_);
    const auto stored = run(store.put(hash, file.get(), content.size(), soon()));
    ASSERT_TRUE(stored) << stored.error().message;
    const auto opened = run(store.open(hash, soon()));
    EXPECT_TRUE(opened) << opened.error().message;
    const auto range = run(bucket_->get_range(concat("code/", hash), 100, 50, soon()));
    ASSERT_TRUE(range) << range.error().message;
    EXPECT_EQ(range->body, content.substr(100, 50));
    EXPECT_EQ(range->size, static_cast<std::int64_t>(content.size()));
    const auto listed = run(store.list("", 10, soon()));
    ASSERT_TRUE(listed && listed->size() == 1u);
    EXPECT_EQ(listed->front().sha256, hash);
    EXPECT_GT(listed->front().at, 0);
    EXPECT_TRUE(run(store.remove(hash, soon())));
    EXPECT_EQ(run(store.open(hash, soon())).error().code, errc::not_found);
}

TEST_F(aws_on_swift, what_is_damaged_on_the_way_is_refused) {
    // The hash that is signed is another body's.
    aws::request asked{.operation = "PutObject",
                       .method = "PUT",
                       .path = "/x",
                       .body = "what arrives",
                       .body_hash = aws::sha256_hex("what was sent"),
                       .where = config_->bucket_endpoint(bucket_->name())};
    const auto put = run(s3_->call(std::move(asked), soon()));
    ASSERT_FALSE(put);
    EXPECT_EQ(run(bucket_->get("x", 100, soon())).error().code, errc::not_found);
}

TEST_F(aws_on_swift, a_presigned_download_works_as_it_is_and_not_when_changed) {
    ASSERT_TRUE(run(bucket_->put("a b+c", "content", "text/plain", soon())));
    const auto url = run(bucket_->presign("GET", "a b+c", {}, seconds(60), soon())).value();
    const auto got = fetch("GET", url);
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.body, "content");
    auto longer = url;
    longer.replace(longer.find("X-Amz-Expires=60"), 16, "X-Amz-Expires=61");
    EXPECT_EQ(fetch("GET", longer).status, 403);
    EXPECT_EQ(fetch("DELETE", url).status, 403);
}

TEST_F(aws_on_swift, a_presigned_url_expires) {
    ASSERT_TRUE(run(bucket_->put("x", "content", "text/plain", soon())));
    aws::client early(home_->transport(), &keys_, *config_, aws::service::s3, {.now = [] {
                          return wall_clock_ms() - 120'000;
                      }});
    auto same = bucket_of(early);
    const auto url = run(same.presign("GET", "x", {}, seconds(60), soon())).value();
    EXPECT_EQ(fetch("GET", url).status, 403);
}

TEST_F(aws_on_swift, a_presigned_upload_takes_the_signed_type_and_nothing_else) {
    const std::string content = "print('hello')";
    const auto hash = aws::sha256_hex(content);
    aws::code_store store(*bucket_, blocking_);
    const auto url =
        run(store.presign_put(hash, content.size(), "application/zip", seconds(60), soon()))
            .value();
    const auto checksum = aws::base64_encode(aws::sha256_raw(content));
    const aws::fields right{{"content-type", "application/zip"},
                            {"x-amz-checksum-sha256", checksum}};
    EXPECT_EQ(fetch("PUT", url, content, {{"content-type", "text/html"}, right[1]}).status, 403);
    EXPECT_EQ(fetch("PUT", url, content + "x", right).status, 403) << "longer than was signed";
    EXPECT_EQ(fetch("PUT", url, content, right).status, 200);
    EXPECT_TRUE(run(store.open(hash, soon())));
}

}  // namespace
}  // namespace hearth::test
