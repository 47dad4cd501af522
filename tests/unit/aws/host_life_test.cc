// The end of an EC2 instance, as its metadata and its Auto Scaling group tell it.

#include "aws/host_life.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/aws/services_fixture.h"

namespace hearth::aws {
namespace {

using test::form_value;
using test::xml_refusal;
using ::testing::ElementsAre;

constexpr std::string_view instance = "i-0123456789abcdef0";
constexpr std::string_view action_path = "/latest/meta-data/spot/instance-action";
constexpr std::string_view state_path = "/latest/meta-data/autoscaling/target-lifecycle-state";

// The metadata of an instance; enforces its token, as EC2 does.
class scripted_metadata {
public:
    explicit scripted_metadata(test::test_ring& loop) : service_(loop) {
        service_.on(method::put, "/latest/api/token", [this](const asked_request&) {
            ++tokens_;
            return response::text(status_, "token");
        });
        for (const auto path :
             {std::string_view("/latest/meta-data/instance-id"),
              std::string_view("/latest/meta-data/instance-life-cycle"), action_path, state_path}) {
            service_.on(method::get, path, [this, path](const asked_request& asked) {
                if (asked.header("x-aws-ec2-metadata-token") != "token") {
                    return response::text(401, "");
                }
                ++asked_[std::string(path)];
                const auto found = values_.find(path);
                return found == values_.end() ? response::text(broken_ ? 500 : 404, "")
                                              : response::text(200, found->second);
            });
        }
        values_["/latest/meta-data/instance-id"] = instance;
        values_["/latest/meta-data/instance-life-cycle"] = "spot";
    }
    void set(std::string_view path, std::string_view value) {
        values_.insert_or_assign(std::string(path), value);
    }
    [[nodiscard]] int asked(std::string_view path) { return asked_[std::string(path)]; }
    [[nodiscard]] int tokens() const { return tokens_; }
    void answer_tokens_with(int status) { status_ = status; }
    void break_down(bool broken) { broken_ = broken; }
    [[nodiscard]] std::string url() const { return service_.url(); }

private:
    test::scripted_service service_;
    std::map<std::string, std::string, std::less<>> values_;
    std::map<std::string, int, std::less<>> asked_;
    int tokens_ = 0;
    int status_ = 200;
    bool broken_ = false;
};

class aws_host_life : public testing::Test, public test::http_fixture {
protected:
    aws_host_life() {
        service_.on(method::post, "/", [this](const asked_request& asked) {
            return serve(form_value(asked.body, "Action"), asked.body);
        });
        remake({});
    }
    ~aws_host_life() override {
        running_.reset();
        end();
    }

    void remake(environment from) {
        about_.emplace(
            transport(), from ? from : [this](std::string_view name) {
                return name == "AWS_EC2_METADATA_SERVICE_ENDPOINT" ? std::optional(metadata_.url())
                                                                   : std::nullopt;
            });
        life_.emplace(
            *about_, group_, [this](const host_notice& notice) { told_.push_back(notice); },
            host_life_options{.look_interval = milliseconds(1)});
    }
    void start() { running_.emplace(loop().start(life_->run())); }
    void run_until(const std::function<bool()>& done) { loop().run_until(done); }

    response serve(const std::string& action, std::string_view form) {
        actions_.push_back(action);
        if (refusing_) {
            return xml_refusal(403, "AccessDenied");
        }
        if (action == "DescribeAutoScalingInstances") {
            return response::text(
                200, form_value(form, "InstanceIds.member.1") == instance
                         ? "<AutoScalingInstances><member><AutoScalingGroupName>workers"
                           "</AutoScalingGroupName></member></AutoScalingInstances>"
                         : "<AutoScalingInstances/>");
        }
        if (action == "DescribeLifecycleHooks") {
            EXPECT_EQ(form_value(form, "AutoScalingGroupName"), "workers");
            return response::text(
                200,
                "<LifecycleHooks><member><LifecycleHookName>greet</LifecycleHookName>"
                "<LifecycleTransition>autoscaling:EC2_INSTANCE_LAUNCHING</LifecycleTransition>"
                "<HeartbeatTimeout>60</HeartbeatTimeout></member>"
                "<member><LifecycleHookName>drain</LifecycleHookName>"
                "<LifecycleTransition>autoscaling:EC2_INSTANCE_TERMINATING</LifecycleTransition>"
                "<HeartbeatTimeout>60</HeartbeatTimeout></member></LifecycleHooks>");
        }
        EXPECT_EQ(form_value(form, "LifecycleHookName"), "drain");
        EXPECT_EQ(form_value(form, "InstanceId"), instance);
        if (!waiting_) {
            return xml_refusal(400, "ValidationError", "No active Lifecycle Action found");
        }
        if (action == "CompleteLifecycleAction") {
            EXPECT_EQ(form_value(form, "LifecycleActionResult"), "CONTINUE");
            waiting_ = false;
        }
        return response::text(200, "<Response/>");
    }
    [[nodiscard]] auto count(std::string_view action) const {
        return std::ranges::count(actions_, action);
    }

    scripted_metadata metadata_{loop()};
    test::scripted_service service_{loop()};
    fixed_credentials keys_{{"AKID", "secret", ""}};
    settings config_ = test::settings_for(service_.url());
    client api_{transport(), &keys_, config_, service::auto_scaling, test::impatient()};
    auto_scaling group_{api_};
    std::vector<host_notice> told_;
    std::vector<std::string> actions_;
    bool waiting_ = true;
    bool refusing_ = false;
    std::optional<metadata> about_;
    std::optional<host_life> life_;
    std::optional<test::test_loop::pending<void>> running_;
};

TEST_F(aws_host_life, a_spot_notice_is_told_once_with_the_moment_of_the_end) {
    start();
    run_until([&] { return metadata_.asked(action_path) >= 2; });
    EXPECT_TRUE(told_.empty());
    metadata_.set(action_path, R"({"action":"terminate","time":"2026-01-31T08:22:00Z"})");
    run_until([&] { return !told_.empty(); });
    const auto looks = life_->counts().looks;
    run_until([&] { return life_->counts().looks >= looks + 3; });
    ASSERT_EQ(told_.size(), 1u);
    EXPECT_EQ(told_[0].why, host_notice::cause::spot);
    EXPECT_EQ(told_[0].action, "terminate");
    EXPECT_EQ(told_[0].end_at, 1'769'847'720'000);
    EXPECT_TRUE(actions_.empty()) << "no group was asked";
}

TEST_F(aws_host_life, one_token_serves_all_looks) {
    start();
    run_until([&] { return life_->counts().looks >= 5; });
    EXPECT_EQ(metadata_.tokens(), 1);
}

TEST_F(aws_host_life, an_on_demand_instance_is_not_asked_for_spot_notices) {
    metadata_.set("/latest/meta-data/instance-life-cycle", "on-demand");
    start();
    run_until([&] { return metadata_.asked(state_path) >= 3; });
    EXPECT_EQ(metadata_.asked(action_path), 0);
}

TEST_F(aws_host_life, a_group_that_ends_the_instance_is_kept_waiting_and_then_let_go) {
    metadata_.set(state_path, "InService");
    start();
    run_until([&] { return metadata_.asked(state_path) >= 2; });
    EXPECT_TRUE(told_.empty());
    metadata_.set(state_path, "Terminated");
    run_until([&] { return life_->counts().heartbeats >= 1; });
    ASSERT_EQ(told_.size(), 1u);
    EXPECT_EQ(told_[0].why, host_notice::cause::group);
    EXPECT_FALSE(told_[0].end_at);
    EXPECT_TRUE(waiting_);
    const auto gone = loop().run(life_->let_go(soon()));
    EXPECT_TRUE(gone) << gone.error().message;
    EXPECT_FALSE(waiting_);
    EXPECT_THAT(actions_, ElementsAre("DescribeAutoScalingInstances", "DescribeLifecycleHooks",
                                      "RecordLifecycleActionHeartbeat", "CompleteLifecycleAction"));
}

TEST_F(aws_host_life, a_host_that_stops_for_another_reason_asks_its_group_for_nothing) {
    metadata_.set(state_path, "InService");
    start();
    run_until([&] { return life_->counts().looks >= 1; });
    EXPECT_TRUE(loop().run(life_->let_go(soon())));
    EXPECT_TRUE(actions_.empty());
}

TEST_F(aws_host_life, a_drain_that_a_signal_began_lets_a_waiting_group_go_too) {
    metadata_.set(state_path, "InService");
    start();
    run_until([&] { return life_->known().is_set(); });
    running_->stop();
    running_->get();
    metadata_.set(state_path, "Terminated");
    EXPECT_TRUE(loop().run(life_->let_go(soon())));
    EXPECT_FALSE(waiting_);
}

TEST_F(aws_host_life, a_group_that_waits_no_longer_is_no_error) {
    metadata_.set(state_path, "Terminated");
    waiting_ = false;
    start();
    run_until([&] { return count("RecordLifecycleActionHeartbeat") == 1; });
    EXPECT_TRUE(loop().run(life_->let_go(soon())));
    EXPECT_EQ(count("CompleteLifecycleAction"), 1);
}

TEST_F(aws_host_life, a_missing_right_is_told_and_the_drain_begins_all_the_same) {
    metadata_.set(state_path, "Terminated");
    refusing_ = true;
    start();
    run_until([&] { return !told_.empty() && count("DescribeAutoScalingInstances") == 1; });
    const auto gone = loop().run(life_->let_go(soon()));
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().code, errc::permission_denied);
}

TEST_F(aws_host_life, a_spot_instance_in_a_group_is_told_both) {
    metadata_.set(state_path, "Terminated");
    start();
    run_until([&] { return told_.size() == 1; });
    metadata_.set(action_path, R"({"action":"stop","time":"2026-01-31T08:22:00Z"})");
    run_until([&] { return told_.size() == 2; });
    EXPECT_EQ(told_[1].why, host_notice::cause::spot);
    EXPECT_TRUE(told_[1].end_at);
}

TEST_F(aws_host_life, states_that_a_host_survives_begin_no_drain) {
    start();
    for (const auto* state : {"InService", "Standby", "Detached", "Warmed:Running"}) {
        metadata_.set(state_path, state);
        const auto looks = life_->counts().looks;
        run_until([&] { return life_->counts().looks >= looks + 2; });
        EXPECT_TRUE(told_.empty()) << state;
    }
}

TEST_F(aws_host_life, metadata_that_fails_for_a_while_does_not_end_the_watch) {
    start();
    run_until([&] { return life_->known().is_set(); });
    metadata_.break_down(true);
    run_until([&] { return life_->counts().failed_looks >= 2; });
    metadata_.break_down(false);
    metadata_.set(action_path, R"({"action":"terminate","time":"2026-01-31T08:22:00Z"})");
    run_until([&] { return !told_.empty(); });
    EXPECT_EQ(told_[0].why, host_notice::cause::spot);
}

TEST_F(aws_host_life, a_notice_without_a_time_is_told_and_one_that_is_not_understood_is_not) {
    metadata_.set(action_path, "<html>");
    start();
    run_until([&] { return life_->counts().failed_looks >= 1; });
    EXPECT_TRUE(told_.empty());
    metadata_.set(action_path, R"({"action":"hibernate"})");
    run_until([&] { return !told_.empty(); });
    EXPECT_EQ(told_[0].action, "hibernate");
    EXPECT_FALSE(told_[0].end_at);
}

TEST_F(aws_host_life, metadata_that_comes_late_is_found_all_the_same) {
    metadata_.answer_tokens_with(500);
    start();
    run_until([&] { return life_->known().is_set(); });
    EXPECT_TRUE(life_->instance_id().empty());
    const int asked = metadata_.tokens();
    run_until([&] { return metadata_.tokens() > asked; });  // it goes on asking
    metadata_.answer_tokens_with(200);
    run_until([&] { return metadata_.asked(action_path) >= 1; });
    EXPECT_EQ(life_->instance_id(), instance);
}

TEST_F(aws_host_life, elsewhere_than_on_ec2_it_asks_on_and_finds_nothing) {
    remake([](std::string_view name) {
        return name == "AWS_EC2_METADATA_SERVICE_ENDPOINT" ? std::optional("http://127.0.0.1:1")
                                                           : std::nullopt;
    });
    start();
    run_until([&] { return life_->known().is_set(); });
    EXPECT_TRUE(life_->instance_id().empty());
    EXPECT_EQ(life_->counts().looks, 0u);
    EXPECT_TRUE(loop().run(life_->let_go(soon())));
}

TEST_F(aws_host_life, metadata_that_is_switched_off_is_not_asked_again) {
    metadata_.answer_tokens_with(403);
    start();
    running_->get();
    EXPECT_EQ(metadata_.tokens(), 1);
    EXPECT_TRUE(life_->instance_id().empty());
}

TEST_F(aws_host_life, with_metadata_disabled_nothing_is_asked_at_all) {
    remake([this](std::string_view name) -> std::optional<std::string> {
        if (name == "AWS_EC2_METADATA_DISABLED") {
            return "true";
        }
        return metadata_.url();
    });
    start();
    running_->get();
    EXPECT_EQ(metadata_.tokens(), 0);
}

}  // namespace
}  // namespace hearth::aws
