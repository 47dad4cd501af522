#include "ctrl/client_address.h"

#include <gtest/gtest.h>

namespace hearth::ctrl {
namespace {

TEST(client_address, an_ipv4_client_is_its_address) {
    EXPECT_EQ(client_of("192.0.2.1:5000"), "192.0.2.1");
    EXPECT_EQ(client_of("192.0.2.1:5001"), client_of("192.0.2.1:5000"));
}

TEST(client_address, an_ipv6_client_is_its_network_of_64_bits) {
    EXPECT_EQ(client_of("[2001:db8:1:2:3:4:5:6]:5000"), "2001:db8:1:2::/64");
    EXPECT_EQ(client_of("[2001:db8:1:2:ffff::1]:80"), client_of("[2001:db8:1:2::1]:81"));
    EXPECT_NE(client_of("[2001:db8:1:3::1]:80"), client_of("[2001:db8:1:2::1]:80"));
    EXPECT_EQ(client_of("[fe80::1%eth0]:80"), "fe80::/64");
}

TEST(client_address, an_ipv4_client_of_an_ipv6_socket_is_its_ipv4_address) {
    EXPECT_EQ(client_of("[::ffff:192.0.2.1]:5000"), "192.0.2.1");
    EXPECT_NE(client_of("[::ffff:192.0.2.2]:5000"), "192.0.2.1");
}

}  // namespace
}  // namespace hearth::ctrl
