#include "net/address.h"

#include <string>

#include <gtest/gtest.h>
#include <sys/un.h>

#include "base/concat.h"
#include "net/listener.h"
#include "tests/support/sockets.h"

namespace hearth::net {
namespace {

TEST(address, numeric_addresses_and_paths_are_read_and_written_back) {
    for (const char* text : {"127.0.0.1:8080", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80",
                             "[::]:0", "[2001:db8::1]:443", "/run/hearth.sock"}) {
        const auto parsed = parse_address(text);
        ASSERT_TRUE(parsed) << text << ": " << parsed.error().message;
        EXPECT_EQ(to_text(*parsed), text);
    }
    EXPECT_EQ(parse_address("127.0.0.1:8080")->family(), AF_INET);
    EXPECT_EQ(parse_address("[::1]:80")->family(), AF_INET6);
    EXPECT_EQ(parse_address("/run/hearth.sock")->family(), AF_UNIX);
}

TEST(address, everything_else_is_refused_with_what_was_expected) {
    using namespace std::string_literals;
    for (const std::string& text : {""s,
                                    ":"s,
                                    ":80"s,
                                    "127.0.0.1"s,
                                    "127.0.0.1:"s,
                                    "127.0.0.1:65536"s,
                                    "127.0.0.1:-1"s,
                                    "127.0.0.1:+1"s,
                                    "127.0.0.1: 1"s,
                                    "127.0.0.1:1x"s,
                                    "127.0.0.1:80:80"s,
                                    "127.0.0:80"s,
                                    "256.0.0.1:80"s,
                                    "127.1:80"s,
                                    "localhost:80"s,
                                    "::1:80"s,
                                    "[::1]"s,
                                    "[::1]80"s,
                                    "[127.0.0.1]:80"s,
                                    "[]:80"s,
                                    "[:80"s,
                                    "]:80"s,
                                    "[::1:80"s,
                                    "::1]:80"s,
                                    "relative.sock"s,
                                    "127.0.0.1\0evil:80"s,
                                    "/run/a\0b"s}) {
        const auto parsed = parse_address(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().code, errc::invalid_argument);
        EXPECT_FALSE(parsed.error().message.empty());
    }
}

TEST(address, a_socket_path_is_bounded_by_what_the_kernel_takes) {
    constexpr std::size_t longest = sizeof(sockaddr_un::sun_path) - 1;
    EXPECT_TRUE(parse_address("/" + std::string(longest - 1, 'x')));
    EXPECT_FALSE(parse_address("/" + std::string(longest, 'x')));
}

TEST(address, the_peer_of_an_unnamed_socket_is_unix_and_has_no_port) {
    const auto pair = test::make_socket_pair();
    EXPECT_EQ(peer_name(pair.ours.get()), "unix");
    EXPECT_EQ(local_port(pair.ours.get()), 0);
    EXPECT_EQ(peer_name(-1), "gone");
}

// The origin of a connection to `address`, as its listener sees it.
std::string origin_at(const std::string& address) {
    const unique_fd listening = open_listening_socket(address).value();
    const bool v6 = address.starts_with('[');
    const auto where =
        parse_address(concat(v6 ? "[::1]:" : "127.0.0.1:", local_port(listening.get()))).value();
    const unique_fd client(::socket(where.family(), SOCK_STREAM, 0));
    EXPECT_EQ(::connect(client.get(), where.data(), where.size), 0);
    const unique_fd accepted(::accept(listening.get(), nullptr, nullptr));
    return origin_of(accepted.get());
}

TEST(address, an_origin_is_a_host_however_many_ports_and_addresses_it_has) {
    EXPECT_EQ(origin_at("127.0.0.1:0"), "127.0.0.1");
    EXPECT_EQ(origin_at("[::1]:0"), "::/64") << "the network, whose addresses one host may have";
    const auto pair = test::make_socket_pair();
    EXPECT_EQ(origin_of(pair.ours.get()), concat("uid ", ::geteuid()));
    EXPECT_EQ(origin_of(-1), "gone");
}

}  // namespace
}  // namespace hearth::net
