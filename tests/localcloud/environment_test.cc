#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/unique_fd.h"
#include "tests/support/localcloud.h"

namespace hearth {
namespace {

// Whether something accepts connections on the port that "…:PORT" ends with.
bool accepts(std::string_view address) {
    const auto port = std::stoi(std::string(address.substr(address.rfind(':') + 1)));
    const unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in to{.sin_family = AF_INET,
                         .sin_port = htons(static_cast<std::uint16_t>(port)),
                         .sin_addr = {htonl(INADDR_LOOPBACK)},
                         .sin_zero = {}};
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
}

TEST(localcloud_environment, a_test_that_asks_for_the_services_finds_them_up) {
    const test::localcloud services;
    for (const auto* name : {"AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL_S3",
                             "AWS_ENDPOINT_URL_DYNAMODB", "REDIS_HOST"}) {
        EXPECT_TRUE(accepts(services[name])) << name;
    }
    for (const auto* name : {"SQS_URL", "DLQ_URL", "BUCKET_NAME", "TABLE_NAME", "LOGS_TABLE_NAME",
                             "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}) {
        EXPECT_FALSE(services[name].empty()) << name;
    }
}

TEST(localcloud_environment, it_becomes_the_environment_of_a_program) {
    const test::localcloud services;
    services.export_all();
    EXPECT_STREQ(::getenv("SQS_URL"), services["SQS_URL"].c_str());
}

}  // namespace
}  // namespace hearth
