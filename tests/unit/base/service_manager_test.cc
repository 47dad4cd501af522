#include "base/service_manager.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/check.h"
#include "base/concat.h"
#include "base/ids.h"
#include "tests/port/temporary_directory.h"

namespace hearth {
namespace {

// A service manager's end: a real datagram socket, at a path or an abstract address.
class manager_socket {
public:
    explicit manager_socket(const std::string& address)
        : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un to{.sun_family = AF_UNIX, .sun_path = {}};
        address.copy(to.sun_path, sizeof to.sun_path);
        const bool abstract = address.front() == '@';
        if (abstract) {
            to.sun_path[0] = '\0';
        }
        const auto length = offsetof(sockaddr_un, sun_path) + address.size() + (abstract ? 0 : 1);
        HEARTH_CHECK(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&to),
                            static_cast<socklen_t>(length)) == 0,
                     "a test's socket is bound");
    }

    // A datagram to a Unix socket is there when the send returns: no waiting.
    [[nodiscard]] std::optional<std::string> next() const {
        std::array<char, 4096> buffer;
        const auto count = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (count < 0) {
            return std::nullopt;
        }
        return std::string(buffer.data(), static_cast<std::size_t>(count));
    }

private:
    unique_fd socket_;
};

std::string abstract_address() {
    return concat("@hearth-test-", make_uuid());
}

class service_manager_test : public testing::Test {
protected:
    void TearDown() override {
        for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
            ::unsetenv(name);
        }
    }
    static service_manager connected(const std::string& address) {
        ::setenv("NOTIFY_SOCKET", address.c_str(), 1);
        auto manager = service_manager::from_environment();
        HEARTH_CHECK(manager.has_value(), "a well-formed address is taken");
        return std::move(*manager);
    }
};

TEST_F(service_manager_test, messages_have_the_form_that_sd_notify_describes) {
    const auto address = abstract_address();
    const manager_socket socket(address);
    const auto manager = connected(address);
    ASSERT_TRUE(manager.present());
    ASSERT_TRUE(manager.ready("serving"));
    EXPECT_EQ(socket.next(), "READY=1\nSTATUS=serving");
    ASSERT_TRUE(manager.ready(""));
    EXPECT_EQ(socket.next(), "READY=1");
    ASSERT_TRUE(manager.status("3 jobs"));
    EXPECT_EQ(socket.next(), "STATUS=3 jobs");
    ASSERT_TRUE(manager.watchdog());
    EXPECT_EQ(socket.next(), "WATCHDOG=1");
    ASSERT_TRUE(manager.extend_timeout(seconds(30)));
    EXPECT_EQ(socket.next(), "EXTEND_TIMEOUT_USEC=30000000");
    ASSERT_TRUE(manager.stopping("draining"));
    EXPECT_EQ(socket.next(), "STOPPING=1\nSTATUS=draining");
    EXPECT_EQ(socket.next(), std::nullopt);
}

TEST_F(service_manager_test, an_address_may_be_a_path) {
    const test::temporary_directory folder;
    const auto address = folder.file("notify");
    const manager_socket socket(address);
    ASSERT_TRUE(connected(address).watchdog());
    EXPECT_EQ(socket.next(), "WATCHDOG=1");
}

TEST_F(service_manager_test, without_a_service_manager_everything_succeeds_and_does_nothing) {
    const auto manager = service_manager::from_environment();
    ASSERT_TRUE(manager);
    EXPECT_FALSE(manager->present());
    EXPECT_FALSE(manager->watchdog_interval());
    EXPECT_TRUE(manager->ready("x"));
    EXPECT_TRUE(manager->watchdog());
}

TEST_F(service_manager_test, children_do_not_inherit_the_address) {
    ::setenv("WATCHDOG_USEC", "1000", 1);
    ::setenv("WATCHDOG_PID", "1", 1);
    std::ignore = connected(abstract_address());
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
        EXPECT_EQ(::getenv(name), nullptr) << name;
    }
}

TEST_F(service_manager_test, a_status_cannot_forge_another_assignment_and_is_cut_at_its_limit) {
    const auto address = abstract_address();
    const manager_socket socket(address);
    const auto manager = connected(address);
    ASSERT_TRUE(manager.status("a\nMAINPID=1\r\x01"));
    EXPECT_EQ(socket.next(), "STATUS=a MAINPID=1  ");
    const std::string exact(service_status_bytes_max, 'x');
    ASSERT_TRUE(manager.status(exact));
    EXPECT_EQ(socket.next(), "STATUS=" + exact);
    ASSERT_TRUE(manager.status(exact + "y"));
    EXPECT_EQ(socket.next(), "STATUS=" + exact);
    // Not through the middle of a character.
    const std::string almost(service_status_bytes_max - 1, 'x');
    ASSERT_TRUE(manager.status(almost + "\xc3\xa4"));
    EXPECT_EQ(socket.next(), "STATUS=" + almost);
}

TEST_F(service_manager_test, a_watchdog_is_due_at_half_its_period_and_only_for_this_process) {
    const auto interval = [](const char* usec, const std::string& pid) {
        ::setenv("WATCHDOG_USEC", usec, 1);
        ::setenv("WATCHDOG_PID", pid.c_str(), 1);
        return connected(abstract_address()).watchdog_interval();
    };
    EXPECT_EQ(interval("30000000", ""), seconds(15));
    EXPECT_EQ(interval("30000000", std::to_string(::getpid())), seconds(15));
    EXPECT_EQ(interval("30000000", "1"), std::nullopt);
    EXPECT_EQ(interval("0", ""), std::nullopt);
    EXPECT_EQ(interval("soon", ""), std::nullopt);
}

TEST_F(service_manager_test, a_manager_that_does_not_read_is_an_error_and_no_wait) {
    const auto address = abstract_address();
    const manager_socket socket(address);
    const auto manager = connected(address);
    result<> sent;
    // The queue of a datagram socket is short (net.unix.max_dgram_qlen).
    for (int i = 0; sent && i < 100'000; ++i) {
        sent = manager.watchdog();
    }
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code, errc::limit_exceeded);
    ASSERT_TRUE(socket.next());
    EXPECT_TRUE(manager.watchdog());
}

TEST_F(service_manager_test, a_manager_that_went_away_is_an_error) {
    const auto address = abstract_address();
    const auto manager = connected(address);
    EXPECT_FALSE(manager.ready(""));
}

TEST_F(service_manager_test, an_address_that_is_none_is_refused) {
    for (const std::string& address : {std::string("relative"), std::string("@"), std::string("/"),
                                       "/" + std::string(sizeof(sockaddr_un::sun_path), 'x')}) {
        ::setenv("NOTIFY_SOCKET", address.c_str(), 1);
        const auto manager = service_manager::from_environment();
        ASSERT_FALSE(manager) << address;
        EXPECT_EQ(manager.error().code, errc::invalid_argument);
    }
}

}  // namespace
}  // namespace hearth
