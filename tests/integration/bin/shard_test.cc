#include "shard.h"

#include <gtest/gtest.h>

#include "coro/when_all.h"
#include "net/listener.h"
#include "tests/support/sockets.h"

namespace hearth {
namespace {

class deaf_observer final : public http::observer {
public:
    void on_exchange(const http::exchange&) noexcept override {}
};

TEST(shard_thread, serves_is_measured_and_ends_with_its_server_when_drained) {
    http::router routes;
    deaf_observer observer;
    const std::size_t descriptors_before = test::open_descriptors();
    {
        auto ring = uring::ring::create();
        ASSERT_TRUE(ring) << ring.error().message;
        std::vector<std::unique_ptr<shard>> shards;
        std::vector<std::unique_ptr<shard_thread>> threads;
        for (int i = 0; i < 3; ++i) {
            auto listening = net::open_listening_socket("127.0.0.1:0");
            ASSERT_TRUE(listening) << listening.error().message;
            shards.push_back(std::make_unique<shard>(std::move(*listening), routes,
                                                     http::server_options{}, observer));
            auto thread = shard_thread::start(*shards.back());
            ASSERT_TRUE(thread) << thread.error().message;
            threads.push_back(std::move(*thread));
        }
        (*ring)->run([](std::vector<std::unique_ptr<shard>>& all) -> task<void> {
            for (auto& each : all) {
                const auto load = co_await each->measure();
                EXPECT_EQ(load.connections, 0u);
                EXPECT_GT(load.frames_live, 0u);
            }
            std::vector<task<bool>> drains;
            for (auto& each : all) {
                drains.push_back(each->drain(after(seconds(30))));
            }
            co_await when_all(std::move(drains));
        }(shards));
        for (auto& each : threads) {
            each->join();
        }
    }
    EXPECT_EQ(test::open_descriptors(), descriptors_before);
}

}  // namespace
}  // namespace hearth
