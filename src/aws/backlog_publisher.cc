#include "aws/backlog_publisher.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "coro/wait_list.h"

namespace hearth::aws {

backlog_publisher::backlog_publisher(client& api, backlog_publisher_options options,
                                     measure_function measure)
    : api_(api), clock_(api), options_(std::move(options)), measure_(std::move(measure)) {}

task<void> backlog_publisher::run() {
    deadline next = steady_clock::now();
    do {
        auto published = co_await publish(after(options_.interval / 2));
        if (!published && published.error().code == errc::cancelled) {
            co_return;
        }
        note(published);
        // In the same rhythm, however long one took.
        next = std::max(next + options_.interval, steady_clock::now());
    } while (co_await sleep_until(next));
}

task<result<>> backlog_publisher::publish(deadline until) {
    auto backlog = co_await measure_(until);
    if (!backlog) {
        co_return propagate(backlog);
    }
    const std::string_view url = options_.queue_url;
    cloudwatch::datum what;
    what.name = metric_name;
    what.value = *backlog;
    what.dimensions = {{"QueueName", std::string(url.substr(url.rfind('/') + 1))}};
    what.at = clock_.signing_time();
    co_return co_await api_.put(std::string(metric_namespace), std::move(what), until);
}

// One line when it begins to fail and one when it works again.
void backlog_publisher::note(const result<>& published) {
    ++(published ? counts_.published : counts_.failed);
    if (failing_ == !published.has_value()) {
        return;
    }
    failing_ = !failing_;
    if (failing_) {
        log::warning("the backlog per worker is not published to CloudWatch",
                     {{"reason", published.error().message}});
    } else {
        log::info("the backlog per worker is published to CloudWatch again");
    }
}

}  // namespace hearth::aws
