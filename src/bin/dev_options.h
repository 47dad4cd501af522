#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "sandbox/protocol.h"

namespace CLI {
class App;
}

namespace hearth {

// Settings of `hearth dev`, each with its option and environment variable (docs/operations.md).
struct dev_options {
    std::string listen = "127.0.0.1";
    std::uint16_t port = 8080;
    std::string port_file;
    std::string data_dir;
    std::string api_key;
    std::size_t threads = 1;
    std::int64_t memory_budget_mb = 0;  // 0: three quarters of the host's
    std::size_t concurrency_max = 16;
    std::size_t job_concurrency = 8;
    std::int64_t rate_limit_per_minute = 0;  // 0: none
    seconds grace{25};
    seconds idle_ttl{600};
    bool allow_no_limits = false;
    std::uint32_t parked = sandbox::parked_default;
    std::uint32_t shells = sandbox::shells_default;
    std::string zygote = "on";
    std::string log_level = "info";
    std::string tls_certificate;
    std::string tls_key;
};

// Adds the options to `command`; they are read into `into` when the command line is parsed.
void add_dev_options(CLI::App& command, dev_options& into);

// Fills in what depends on the host and checks what belongs together. All problems are in one
// message.
[[nodiscard]] result<> complete_dev_options(dev_options& options);

}  // namespace hearth
