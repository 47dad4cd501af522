#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>

#include "faas/ports.h"
#include "redis/client.h"

namespace hearth::redis {

struct result_bus_settings {
    std::string prefix = "hearth:";  // of every key and channel
    // How long an outcome stays to be found by a waiter that was cut off, at most. Five times what
    // it takes a client to notice that its connection is gone and to make another (22 s); a waiter
    // that is away for longer reads the invocation log, as it does every few seconds anyhow.
    seconds outcome_ttl{120};
    // Larger records are not sent: waiters are told to look into the invocation log. What Redis
    // holds stays below outcome_ttl times the calls that go through the queue times this.
    std::size_t outcome_bytes_max = 256u << 10;
    // A wait survives a lost connection for so long, then fails with errc::unavailable, and the
    // caller looks into the invocation log instead.
    milliseconds outage_max{2'000};
    std::size_t waiters_max = 100'000;  // more: errc::limit_exceeded
};

// Outcomes from workers to the controllers that wait for them. publish() stores the outcome under a
// key that expires and then announces it on the job's channel, unless nobody waits; wait()
// subscribes to the channel and, once the subscription stands (again), looks for the key. So an
// outcome is found in whatever order the two come, also by a waiter that was cut off or comes late.
// docs/protocol.md, "Redis". Ring thread only; every wait() has ended before this dies.
class result_bus final : public faas::result_bus {
public:
    // `commands` outlives it. Subscriptions get a connection of their own.
    result_bus(client& commands, const client_settings& server, thread_pool& lookups,
               result_bus_settings settings = {});

    // Keeps the subscriptions' connection until stopped.
    task<void> run() { return subscriber_.run(); }

    task<result<>> publish(const faas::invocation_record& record, epoch_ms awaited_until,
                           deadline until) override;
    task<result<faas::invocation_record>> wait(std::string_view job_id, deadline until) override;

    [[nodiscard]] bool is_up() const noexcept override {
        return subscriber_.connected() && commands_.connected();
    }
    [[nodiscard]] bool connected() const noexcept { return subscriber_.connected(); }
    [[nodiscard]] std::size_t waiting() const noexcept { return waiters_; }
    // Every subscription that is wanted stands.
    [[nodiscard]] bool listening() const;

private:
    // All who wait for one job.
    struct topic {
        bool subscribed = false;  // as the server confirmed
        std::uint64_t news = 0;   // grows with each confirmation and announcement
        std::size_t waiters = 0;
        wait_list changed;
    };
    class subscription;

    void on_push(const reply& got);
    void on_connected();
    void on_lost();
    task<result<std::optional<faas::invocation_record>>> find(std::string_view job_id,
                                                              deadline until);

    client& commands_;
    result_bus_settings settings_;
    client subscriber_;
    std::unordered_map<std::string, topic> topics_;  // by channel
    std::size_t waiters_ = 0;
};

}  // namespace hearth::redis
