#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "sandbox/protocol.h"
#include "worker/dispatcher.h"

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
    seconds freeze_after = worker::freeze_after_default;  // 0: never
    std::uint64_t recycle_calls = worker::recycling_limits().calls;
    seconds recycle_age = worker::recycling_limits().age;
    std::uint32_t cpu_floor_millis = worker::cpu_floor_millis_default;
    bool allow_no_limits = false;
    std::optional<std::uint32_t> parked;  // none: as many as the memory budget suggests
    std::uint32_t shells = sandbox::shells_default;
    std::uint32_t slots = sandbox::slots_default;
    sandbox::zygote_mode zygote = sandbox::zygote_mode::shared;
    std::uint32_t zygote_forks = sandbox::zygote_forks_default;
    std::uint32_t zygote_minutes = sandbox::zygote_minutes_default;
    std::uint32_t zygote_spares = sandbox::zygote_spares_default;
    std::uint32_t zygote_functions = sandbox::zygote_functions_default;
    seconds zygote_idle{sandbox::zygote_idle_seconds_default};
    std::string zygote_modules;
    std::string numpy_modules = sandbox::numpy_modules_default;
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
