#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "aws/client.h"

namespace hearth::aws {

// SQS in AWS JSON 1.0. Requests go to the configured endpoint and name their queue in the body: the
// host in a queue's URL is not asked, which stand-ins and proxies get wrong. Ring thread only.
class sqs {
public:
    static constexpr std::size_t batch_items_max = 10;
    // Of one message and of a batch together. AWS has since raised it to 1 MiB; queues that were
    // made before, and stand-ins, keep this.
    static constexpr std::size_t batch_bytes_max = 256u << 10;
    static constexpr seconds wait_max{20};
    static constexpr seconds visibility_max{12 * 3600};
    static constexpr seconds delay_max{900};

    struct message {
        std::string id;
        std::string handle;  // of this delivery
        std::string body;
        std::int64_t receive_count = 1;  // this one included
    };
    struct outgoing {
        std::string body;
        seconds delay{0};
    };
    struct visibility_change {
        std::string handle;
        seconds visibility{0};
    };
    // One result per item, in order: items of a batch fail each for themselves.
    using item_results = std::vector<result<>>;

    // `api` is for SQS and outlives this.
    explicit sqs(client& api) : api_(api) {}

    // Up to `max` (1 to 10) messages; waits up to `wait` for the first.
    task<result<std::vector<message>>> receive(const std::string& queue_url, std::size_t max,
                                               seconds visibility, seconds wait, deadline until);
    // 1 to batch_items_max items each.
    task<result<item_results>> send(const std::string& queue_url,
                                    const std::vector<outgoing>& items, deadline until);
    task<result<item_results>> remove(const std::string& queue_url,
                                      const std::vector<std::string>& handles, deadline until);
    task<result<item_results>> change_visibility(const std::string& queue_url,
                                                 const std::vector<visibility_change>& items,
                                                 deadline until);
    struct counts {
        std::int64_t visible = 0;
        std::int64_t in_flight = 0;
        std::int64_t delayed = 0;
    };
    // Approximate, says AWS.
    task<result<counts>> measure(const std::string& queue_url, deadline until);

private:
    task<result<http::client_response>> ask(std::string operation, std::string body, deadline until,
                                            milliseconds attempt_timeout);
    task<result<item_results>> ask_batch(std::string operation, std::string body, std::size_t items,
                                         deadline until);

    client& api_;
};

}  // namespace hearth::aws
