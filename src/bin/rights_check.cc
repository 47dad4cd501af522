#include "rights_check.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "aws/metadata.h"
#include "base/concat.h"
#include "text_table.h"

namespace hearth {
namespace {

constexpr seconds patience{15};  // with one service

// The questions of one program, one service after the other: it is a person who waits.
class rights_check {
public:
    rights_check(fleet_services& services, const fleet_options& options, rights_request what)
        : services_(services), options_(options), what_(std::move(what)) {}

    task<std::vector<aws::probe>> ask();

private:
    [[nodiscard]] aws::client of(aws::service which) {
        return {services_.web(), &services_.keys(), options_.aws, which};
    }
    void add(std::vector<aws::probe> lines) {
        std::ranges::move(lines, std::back_inserter(lines_));
    }
    task<void> ask_stores();
    task<void> ask_group();

    fleet_services& services_;
    const fleet_options& options_;
    rights_request what_;
    std::vector<aws::probe> lines_;
};

task<std::vector<aws::probe>> rights_check::ask() {
    // Stand-ins have no STS, and AWS's own knows nothing of their keys.
    if (!options_.aws.endpoint_of(aws::service::sqs).overridden ||
        options_.aws.endpoint_of(aws::service::sts).overridden) {
        auto sts = of(aws::service::sts);
        lines_.push_back(co_await aws::probe_identity(sts, after(patience)));
    }
    co_await ask_stores();
    if (what_.asking == aws::program::worker) {
        co_await ask_group();
    }
    if (what_.publishes_backlog) {
        auto metrics = of(aws::service::cloudwatch);
        lines_.push_back(co_await aws::probe_backlog_metric(metrics, after(patience)));
    }
    if (!what_.references.empty()) {
        auto ssm = of(aws::service::ssm);
        auto secrets = of(aws::service::secrets_manager);
        add(co_await aws::probe_references(what_.references, ssm, secrets, after(patience)));
    }
    co_return std::move(lines_);
}

task<void> rights_check::ask_stores() {
    auto sqs = of(aws::service::sqs);
    auto s3 = of(aws::service::s3);
    auto dynamodb = of(aws::service::dynamodb);
    add(co_await aws::probe_queue(sqs, options_.queue_url, aws::queue_role::jobs, what_.asking,
                                  after(patience)));
    add(co_await aws::probe_queue(sqs, options_.dead_letter_url, aws::queue_role::dead_letters,
                                  what_.asking, after(patience)));
    add(co_await aws::probe_bucket(s3, options_.bucket, what_.asking, after(patience)));
    add(co_await aws::probe_function_table(dynamodb, options_.functions_table, what_.asking,
                                           after(patience)));
    add(co_await aws::probe_invocation_table(dynamodb, options_.records_table, what_.asking,
                                             after(patience)));
}

// Where this host is an EC2 instance.
task<void> rights_check::ask_group() {
    aws::metadata about(services_.web(), options_.environment);
    auto instance = co_await about.get("/latest/meta-data/instance-id", after(patience));
    if (instance) {
        auto group = of(aws::service::auto_scaling);
        add(co_await aws::probe_lifecycle(group, std::move(*instance), after(patience)));
    }
}

}  // namespace

task<bool> print_rights(fleet_services& services, const fleet_options& options,
                        rights_request what) {
    rights_check check(services, options, std::move(what));
    const auto lines = co_await check.ask();
    std::vector<std::vector<std::string>> rows{{"right", "on", "result"}};
    bool good = true;
    for (const auto& each : lines) {
        good = good && each.seen.has_value();
        rows.push_back({each.tried, each.target,
                        each.seen ? *each.seen : concat("FAILED: ", each.seen.error().message)});
    }
    print_table(rows);
    co_return good;
}

}  // namespace hearth
