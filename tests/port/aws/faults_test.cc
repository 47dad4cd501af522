// Requests that the services carried out and whose answers never came: each is sent again, and none
// of the second ones may be taken for somebody else's, or count twice.

#include <set>

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "faas/function.h"
#include "tests/port/aws/fixtures.h"
#include "tests/support/lossy_proxy.h"

namespace hearth::test {
namespace {

using fate = lossy_proxy::fate;
using kind = stand_in::kind;

constexpr std::string_view function_columns = R"("AttributeDefinitions":[
    {"AttributeName":"id","AttributeType":"S"},
    {"AttributeName":"kind","AttributeType":"S"},
    {"AttributeName":"created","AttributeType":"S"}],
    "KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],
    "GlobalSecondaryIndexes":[{"IndexName":"by_creation","KeySchema":[
    {"AttributeName":"kind","KeyType":"HASH"},{"AttributeName":"created","KeyType":"RANGE"}],
    "Projection":{"ProjectionType":"ALL"}}])";
constexpr std::string_view record_columns = R"("AttributeDefinitions":[
    {"AttributeName":"job_id","AttributeType":"S"}],
    "KeySchema":[{"AttributeName":"job_id","KeyType":"HASH"}])";

// Tables and a bucket of their own behind a proxy that loses answers.
class lossy_home : public aws_table_base {
public:
    lossy_home() {
        functions_name_ = make_table(function_columns);
        records_name_ = make_table(record_columns);
        make_bucket(direct_s3_, direct_bucket_);
        tables_.emplace(loop(), transport(), stand_in::shared(kind::dynamodb).url());
        objects_.emplace(loop(), transport(), stand_in::shared(kind::sqs_s3).url());
        lossy_tables_.emplace(transport(), &keys_, settings_at(tables_->url()),
                              aws::service::dynamodb, impatient());
        lossy_s3_.emplace(transport(), &keys_, settings_at(objects_->url()), aws::service::s3,
                          impatient());
        bucket_.emplace(*lossy_s3_, direct_bucket_->name());
        large_.emplace(*bucket_, "records/");
        functions_.emplace(*lossy_tables_, functions_name_);
        records_.emplace(*lossy_tables_, *large_,
                         aws::invocation_log_settings{.table_name = records_name_});
    }
    ~lossy_home() {
        tables_->end();
        objects_->end();
        end();
    }
    static aws::client_options impatient() {
        return {.pauses = {.base = milliseconds(1), .throttled_base = milliseconds(1)}};
    }

    std::string functions_name_;
    std::string records_name_;
    std::optional<aws::client> direct_s3_;
    std::optional<aws::bucket> direct_bucket_;
    std::optional<lossy_proxy> tables_;
    std::optional<lossy_proxy> objects_;
    std::optional<aws::client> lossy_tables_;
    std::optional<aws::client> lossy_s3_;
    std::optional<aws::bucket> bucket_;
    std::optional<aws::blobs> large_;
    std::optional<aws::function_table> functions_;
    std::optional<aws::invocation_log> records_;
    thread_pool blocking_{1, 16};
};

class aws_lost_answers : public testing::TestWithParam<fate> {
protected:
    void SetUp() override {
        for (const auto which : {kind::dynamodb, kind::sqs_s3}) {
            if (const auto missing = stand_in::missing(which); !missing.empty()) {
                GTEST_SKIP() << missing;
            }
        }
        home_.emplace();
    }
    template <class T>
    T run(task<T> work) {
        return home_->loop().run(std::move(work));
    }
    static faas::function function(std::string_view id, std::int64_t revision = 1) {
        faas::function out;
        out.id = id;
        out.name = "name";
        out.revision = revision;
        out.code_sha256 = std::string(64, 'a');
        return out;
    }
    static faas::invocation_record record(std::string_view id, faas::invocation_status status) {
        faas::invocation_record out;
        out.job_id = id;
        out.request_id = "request";
        out.function_id = "function";
        out.status = status;
        out.end.result_json = "1";
        return out;
    }

    std::optional<lossy_home> home_;
};

TEST_P(aws_lost_answers, a_creation_knows_its_own_item_and_refuses_anothers) {
    home_->tables_->next({GetParam()});
    const auto created = run(home_->functions_->create(function("f"), soon()));
    EXPECT_TRUE(created) << created.error().message;
    EXPECT_EQ(home_->tables_->requests(), 3);  // twice written, then looked at
    const auto again = run(home_->functions_->create(function("f"), soon()));
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, errc::conflict);
}

TEST_P(aws_lost_answers, an_update_knows_its_own_revision) {
    ASSERT_TRUE(run(home_->functions_->create(function("f"), soon())));
    home_->tables_->next({GetParam()});
    const auto updated = run(home_->functions_->update(function("f", 2), soon()));
    EXPECT_TRUE(updated) << updated.error().message;
    EXPECT_EQ(run(home_->functions_->get("f", soon())).value().revision, 2);
    EXPECT_EQ(run(home_->functions_->update(function("f", 2), soon())).error().code,
              errc::conflict);
}

TEST_P(aws_lost_answers, a_removal_that_happened_is_a_success_and_a_second_one_finds_nothing) {
    ASSERT_TRUE(run(home_->functions_->create(function("f"), soon())));
    home_->tables_->next({fate::passed, GetParam()});
    const auto removed = run(home_->functions_->remove("f", soon()));
    EXPECT_TRUE(removed) << removed.error().message;
    EXPECT_EQ(run(home_->functions_->remove("f", soon())).error().code, errc::not_found);
}

TEST_P(aws_lost_answers, a_record_is_created_once_and_its_first_outcome_stands) {
    using status = faas::invocation_status;
    home_->tables_->next({GetParam()});
    ASSERT_TRUE(run(home_->records_->create(record("j", status::queued), soon())));
    EXPECT_EQ(run(home_->records_->create(record("j", status::queued), soon())).error().code,
              errc::conflict);
    home_->tables_->next({GetParam()});
    const auto first = run(home_->records_->finish(record("j", status::succeeded), soon()));
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_TRUE(*first) << "the outcome that was written is its own";
    home_->tables_->next({GetParam()});
    const auto second = run(home_->records_->finish(record("j", status::failed), soon()));
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_FALSE(*second);
    EXPECT_EQ(run(home_->records_->get("j", soon())).value().status, status::succeeded);
}

TEST_P(aws_lost_answers, whose_an_item_is_that_cannot_be_read_is_not_guessed) {
    // The write is lost, its repetition refused, and every look at the item fails.
    const auto lost = fate::lost;
    home_->tables_->next({lost, fate::passed, lost, lost, lost, lost});
    const auto created = run(home_->functions_->create(function("f"), soon()));
    ASSERT_FALSE(created);
    EXPECT_EQ(created.error().code, errc::unavailable);
}

TEST_P(aws_lost_answers, an_object_is_stored_and_read_whole) {
    const auto content = patterned_text(200'000);
    home_->objects_->next({GetParam()});
    ASSERT_TRUE(run(home_->bucket_->put("events/a", content, "text/plain", soon())));
    home_->objects_->next({GetParam(), GetParam()});
    const auto got = run(home_->bucket_->get("events/a", content.size(), soon()));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_TRUE(got->body == content);
}

TEST_P(aws_lost_answers, an_upload_in_parts_that_was_completed_is_a_success) {
    const auto content = patterned_text(aws::code_store::part_bytes + 1000);
    const auto hash = aws::sha256_hex(content);
    const unique_fd file(::memfd_create("code", MFD_CLOEXEC));
    ASSERT_EQ(::pwrite(file.get(), content.data(), content.size(), 0),
              static_cast<ssize_t>(content.size()));
    aws::code_store store(*home_->bucket_, home_->blocking_);
    // Begun, two parts (the first of which is sent twice), completed: then the answer is lost.
    home_->objects_->next(
        {fate::passed, GetParam(), fate::passed, fate::passed, GetParam(), fate::passed});
    const auto stored = run(store.put(hash, file.get(), content.size(), soon()));
    EXPECT_TRUE(stored) << stored.error().message;
    EXPECT_TRUE(run(store.open(hash, soon())));
}

INSTANTIATE_TEST_SUITE_P(all, aws_lost_answers, testing::Values(fate::lost, fate::cut, fate::reset),
                         [](const auto& each) {
                             return each.param == fate::lost  ? "lost"
                                    : each.param == fate::cut ? "cut"
                                                              : "reset";
                         });

// --- the queue ----------------------------------------------------------------------------------

TEST(aws_lost_queue_answers, every_job_is_there_at_least_once_and_deletions_can_be_repeated) {
    if (const auto missing = aws_queue_fixture::missing(); !missing.empty()) {
        GTEST_SKIP() << missing;
    }
    aws_queue_fixture home;
    lossy_proxy proxy(home.loop(), home.transport(), stand_in::shared(kind::sqs_s3).url());
    aws::fixed_credentials keys({"test", "test", ""});
    aws::client lossy(home.transport(), &keys, settings_at(proxy.url()), aws::service::sqs,
                      lossy_home::impatient());
    aws::sqs api(lossy);
    const std::string url = home.queue_url();
    proxy.next({fate::lost});
    const auto sent = home.loop().run(
        api.send(url, std::vector<aws::sqs::outgoing>{{.body = "a"}, {.body = "b"}}, soon()));
    ASSERT_TRUE(sent) << sent.error().message;
    EXPECT_TRUE(sent->at(0) && sent->at(1));
    std::multiset<std::string> bodies;
    std::vector<std::string> handles;
    while (bodies.size() < 4) {
        const auto got = home.loop().run(api.receive(url, 10, seconds(60), seconds(1), soon()));
        ASSERT_TRUE(got) << got.error().message;
        for (const auto& each : *got) {
            bodies.insert(each.body);
            handles.push_back(each.handle);
        }
    }
    EXPECT_EQ(bodies, (std::multiset<std::string>{"a", "a", "b", "b"}))
        << "a batch whose answer was lost was sent twice; records let one outcome stand";
    proxy.next({fate::lost});
    const auto removed = home.loop().run(api.remove(url, handles, soon()));
    ASSERT_TRUE(removed) << removed.error().message;
    EXPECT_TRUE(std::ranges::all_of(*removed, [](const auto& each) { return each.has_value(); }));
    const auto left = home.loop().run(api.measure(url, soon()));
    ASSERT_TRUE(left);
    EXPECT_EQ(left->visible + left->in_flight, 0);
    proxy.end();
}

}  // namespace
}  // namespace hearth::test
