#include "net/listener.h"

#include <future>
#include <thread>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/concat.h"
#include "net/address.h"
#include "uring/ring.h"

namespace hearth::net {
namespace {

// A blocking client of its own; 0 when it was let in, the errno otherwise.
int connect_to(std::uint16_t port, unique_fd& client) {
    client.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = parse_address(concat("127.0.0.1:", port));
    return ::connect(client.get(), address->data(), address->size) == 0 ? 0 : errno;
}

TEST(listener, once_it_stops_queueing_it_hands_out_who_was_let_in_and_lets_in_nobody) {
    auto ring = uring::ring::create();
    ASSERT_TRUE(ring) << ring.error().message;
    auto listening = open_listening_socket("127.0.0.1:0");
    ASSERT_TRUE(listening) << listening.error().message;
    const std::uint16_t port = local_port(listening->get());
    unique_fd early;
    ASSERT_EQ(connect_to(port, early), 0) << "the kernel lets it in, nobody has accepted it yet";
    std::future<int> late;
    unique_fd late_client;
    (*ring)->run([](unique_fd from, std::uint16_t at, std::future<int>& answer,
                    unique_fd& client) -> task<void> {
        listener accepting(std::move(from));
        co_await accepting.stop_queueing();
        answer = std::async(std::launch::async, [at, &client] { return connect_to(at, client); });
        auto first = accepting.take_ready();
        EXPECT_NE(first, nullptr);
        EXPECT_EQ(accepting.take_ready(), nullptr);
        if (first != nullptr) {
            EXPECT_TRUE(co_await first->write("served", never));
            co_await first->close();
        }
        co_await accepting.close();
    }(std::move(*listening), port, late, late_client));
    char text[16];
    ASSERT_EQ(::recv(early.get(), text, sizeof text, MSG_WAITALL), 6);
    EXPECT_EQ(std::string_view(text, 6), "served");
    EXPECT_EQ(late.get(), ECONNREFUSED);
}

}  // namespace
}  // namespace hearth::net
