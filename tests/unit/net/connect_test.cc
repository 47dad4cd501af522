// Connecting to a host with several addresses, over real sockets.

#include "net/connect.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/concat.h"
#include "net/address.h"
#include "net/listener.h"
#include "net/socket_stream.h"
#include "tests/support/test_ring.h"

namespace hearth::net {
namespace {

using test::soon;

// An address that swallows every attempt, as a broken route does: its queue of connections is
// full, and the kernel drops what asks for more.
class black_hole {
public:
    explicit black_hole(const std::string& address)
        : listening_(open_listening_socket(address, 0).value()) {
        const auto port = local_port(listening_.get());
        address_ = concat(address.substr(0, address.rfind(':')), ':', port);
        const auto where = parse_address(address_).value();
        for (auto& each : waiting_) {
            each = unique_fd(::socket(where.family(), SOCK_STREAM | SOCK_NONBLOCK, 0));
            ::connect(each.get(), where.data(), where.size);
        }
    }
    [[nodiscard]] const std::string& address() const noexcept { return address_; }

private:
    unique_fd listening_;
    std::string address_;
    unique_fd waiting_[3];
};

class connecting : public ::testing::Test {
protected:
    static std::string address_of(const unique_fd& listening) {
        return concat("127.0.0.1:", local_port(listening.get()));
    }
    // Nobody listens there: it refuses at once.
    static std::string refusing() {
        return address_of(open_listening_socket("127.0.0.1:0").value());
    }
    // The peer that was connected to; or what went wrong.
    std::string connect(std::vector<std::string> addresses, deadline until = soon()) {
        auto link = loop_.run(connect_first(std::move(addresses), until));
        if (!link) {
            last_error_ = link.error().code;
            return link.error().message;
        }
        loop_.run((*link)->close());
        return (*link)->peer();
    }

    test::test_ring loop_;
    unique_fd good_ = open_listening_socket("127.0.0.1:0").value();
    errc last_error_ = errc::internal;
};

TEST_F(connecting, an_address_that_swallows_packets_does_not_cost_the_deadline) {
    const black_hole hole("127.0.0.1:0");
    const deadline until = soon();
    EXPECT_EQ(connect({hole.address(), address_of(good_)}, until), address_of(good_));
    EXPECT_LT(steady_clock::now(), until);
}

TEST_F(connecting, dead_addresses_of_one_family_stand_behind_one_of_the_other) {
    const black_hole six("[::1]:0");
    const black_hole more("[::1]:0");
    EXPECT_EQ(connect({six.address(), more.address(), address_of(good_)}), address_of(good_));
}

TEST_F(connecting, an_address_that_refuses_lets_the_next_begin_at_once) {
    std::vector<std::string> addresses(connect_addresses_max - 1, refusing());
    addresses.push_back(address_of(good_));
    EXPECT_EQ(connect(addresses), address_of(good_));
}

TEST_F(connecting, the_deadline_ends_all_attempts_and_the_error_names_each) {
    const black_hole hole("127.0.0.1:0");
    const std::string refused = refusing();
    const std::string why = connect({refused, hole.address()}, after(milliseconds(20)));
    EXPECT_TRUE(why.contains(refused)) << why;
    EXPECT_TRUE(why.contains(hole.address())) << why;
    EXPECT_EQ(last_error_, errc::deadline_exceeded);
}

TEST_F(connecting, a_stop_ends_all_attempts) {
    const black_hole hole("127.0.0.1:0");
    auto running = loop_.start(connect_first({hole.address(), hole.address()}, never));
    loop_.run_ready_tasks();
    running.stop();
    const auto link = running.get();
    ASSERT_FALSE(link);
    EXPECT_EQ(link.error().code, errc::cancelled);
}

TEST_F(connecting, addresses_beyond_the_limit_are_not_tried) {
    std::vector<std::string> addresses(connect_addresses_max, refusing());
    addresses.push_back(address_of(good_));
    EXPECT_NE(connect(addresses), address_of(good_));
    EXPECT_EQ(last_error_, errc::unavailable);
}

TEST_F(connecting, a_host_is_looked_up_and_connected_to) {
    thread_pool lookups(1, 4);
    auto link = loop_.run(connect_host(lookups, "localhost", local_port(good_.get()), soon()));
    ASSERT_TRUE(link) << link.error().message;
    loop_.run((*link)->close());
}

}  // namespace
}  // namespace hearth::net
