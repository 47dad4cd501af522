#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "bench/load/load.h"

namespace CLI {
class App;
}

namespace hearth::bench {

// Which functions the calls go to.
enum class mode : std::uint8_t { warm, cold, mixed, trace };

struct options {
    std::string url = "http://127.0.0.1:8080";
    std::string api_key;
    std::string path;           // this path is asked for instead of calls of functions
    bool post = false;          // by POST with the input, not by GET
    std::string function_id;    // called instead of functions of our own
    std::string function_file;  // uploaded instead of the built-in echo
    std::string input = "{}";   // JSON, or @FILE
    std::size_t input_bytes = 0;
    std::vector<std::string> headers;  // added to each call
    mode what = mode::warm;
    unsigned functions = 0;  // 0: as the mode needs
    double cold_share = 0.05;
    std::string traces;
    double time_scale = 0.01;
    double max_function_ms = 1000;

    load_plan plan;
    double duration_s = 10;
    double warm_up_s = 1;
    double timeout_s = 30;
    bool poisson = false;
    bool reconnect = false;

    bool json = false;
    std::string svg;
    bool keep = false;
};

void add_options(CLI::App& command, options& into);
// Checks what one option alone cannot show, reads the input's file, and fills in the plan. All
// problems at once.
[[nodiscard]] result<> complete(options& chosen);

}  // namespace hearth::bench
