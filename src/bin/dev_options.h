#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "entrance.h"
#include "sandbox_options.h"

namespace CLI {
class App;
}

namespace hearth {

// Settings of `hearth dev`, each with its option and environment variable (docs/operations.md).
struct dev_options {
    entrance_options entrance;
    sandbox_options sandboxes;
    std::string data_dir;
    std::string api_key;
    std::size_t job_concurrency = 8;
    std::int64_t rate_limit_per_minute = 0;  // 0: none
    seconds grace{25};
    std::string log_level = "info";
};

// Adds the options to `command`; they are read into `into` when the command line is parsed.
void add_dev_options(CLI::App& command, dev_options& into);

// Fills in what depends on the host and checks what belongs together. All problems are in one
// message.
[[nodiscard]] result<> complete_dev_options(dev_options& options);

}  // namespace hearth
