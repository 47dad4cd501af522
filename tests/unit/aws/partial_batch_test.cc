// Batches of which a service does a part and leaves a part.

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aws/dynamodb.h"
#include "aws/s3.h"
#include "aws/sqs.h"
#include "base/json.h"
#include "tests/unit/aws/services_fixture.h"

namespace hearth::aws {
namespace {

using ::testing::ElementsAre;

class aws_partial_batches : public testing::Test, public test::http_fixture {
protected:
    ~aws_partial_batches() override { end(); }

    static std::vector<item> keys(int count) {
        std::vector<item> out;
        for (int i = 0; i < count; ++i) {
            item key;
            key.emplace("id", attribute::text(concat("k", i)));
            out.push_back(std::move(key));
        }
        return out;
    }
    // Deletes `at_once` of what is asked and hands the rest back.
    response take_some(const asked_request& asked, std::size_t at_once) {
        const auto body = json::document::parse(asked.body).value();
        simdjson::dom::array wanted;
        EXPECT_EQ(body.root()["RequestItems"]["t"].get(wanted), simdjson::SUCCESS);
        sizes_.push_back(wanted.size());
        std::string left;
        std::size_t place = 0;
        for (const auto each : wanted) {
            const std::string_view name =
                each["DeleteRequest"]["Key"]["id"]["S"].get_string().value();
            if (place++ < at_once) {
                deleted_.emplace_back(name);
            } else {
                left += concat(left.empty() ? "" : ",", R"({"DeleteRequest":{"Key":{"id":{"S":")",
                               name, R"("}}}})");
            }
        }
        return response::json(200, left.empty()
                                       ? R"({"UnprocessedItems":{}})"
                                       : concat(R"({"UnprocessedItems":{"t":[)", left, "]}}"));
    }

    test::scripted_service service_{loop()};
    fixed_credentials keys_{{"AKID", "secret", ""}};
    settings config_ = test::settings_for(service_.url());
    std::vector<std::size_t> sizes_;
    std::vector<std::string> deleted_;
};

TEST_F(aws_partial_batches, what_dynamodb_leaves_unprocessed_is_sent_again_and_nothing_else) {
    service_.on(method::post, "/",
                [&](const asked_request& asked) { return take_some(asked, 10); });
    client api(transport(), &keys_, config_, service::dynamodb, test::impatient());
    table where(api, "t");
    const auto removed = loop().run(where.remove_all(keys(30), soon()));
    ASSERT_TRUE(removed) << removed.error().message;
    EXPECT_THAT(sizes_, ElementsAre(25, 15, 5, 5));
    ASSERT_EQ(deleted_.size(), 30u);
    EXPECT_EQ(std::set<std::string>(deleted_.begin(), deleted_.end()).size(), 30u);
}

TEST_F(aws_partial_batches, a_table_that_never_takes_the_rest_ends_at_the_deadline_with_a_remedy) {
    service_.on(method::post, "/", [&](const asked_request& asked) { return take_some(asked, 0); });
    client api(transport(), &keys_, config_, service::dynamodb, test::impatient());
    table where(api, "t");
    const auto removed = loop().run(where.remove_all(keys(2), after(milliseconds(200))));
    ASSERT_FALSE(removed);
    EXPECT_TRUE(removed.error().code == errc::limit_exceeded ||
                removed.error().code == errc::deadline_exceeded)
        << removed.error().message;
}

TEST_F(aws_partial_batches, each_message_of_a_batch_hears_of_its_own_failure) {
    service_.on(method::post, "/", [&](const asked_request&) {
        return response::json(
            200, R"({"Successful":[{"Id":"0"}],"Failed":[)"
                 R"({"Id":"1","SenderFault":false,"Code":"InternalError","Message":"later"},)"
                 R"({"Id":"2","SenderFault":true,"Code":"InvalidMessageContents"},)"
                 R"({"Id":"9","SenderFault":true,"Code":"x"}]})");
    });
    client api(transport(), &keys_, config_, service::sqs, test::impatient());
    sqs queue(api);
    const std::string url = "q";
    const std::vector<sqs::outgoing> items(4);
    const auto sent = loop().run(queue.send(url, items, soon()));
    ASSERT_TRUE(sent) << sent.error().message;
    ASSERT_EQ(sent->size(), 4u);
    EXPECT_TRUE(sent->at(0));
    EXPECT_EQ(sent->at(1).error().code, errc::unavailable) << "the service's fault: try again";
    EXPECT_EQ(sent->at(2).error().code, errc::rejected);
    EXPECT_EQ(sent->at(3).error().code, errc::unavailable) << "what is not named did not happen";
}

TEST_F(aws_partial_batches, a_failed_completion_that_s3_announced_as_a_success_is_repeated) {
    int times = 0;
    service_.on(method::post, "/b/:key", [&](const asked_request&) {
        return response::text(200, ++times < 3 ? "<Error><Code>InternalError</Code></Error>"
                                               : "<CompleteMultipartUploadResult/>");
    });
    client api(transport(), &keys_, config_, service::s3, test::impatient());
    bucket where(api, "b");
    const auto completed = loop().run(where.complete_upload("key", "id", {{1, "e"}}, soon()));
    EXPECT_TRUE(completed) << completed.error().message;
    EXPECT_EQ(times, 3);
}

}  // namespace
}  // namespace hearth::aws
