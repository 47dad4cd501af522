#include "bench/load/options.h"

#include <fstream>
#include <map>
#include <sstream>

#include <CLI/CLI.hpp>

#include "base/concat.h"
#include "base/json.h"

namespace hearth::bench {
namespace {

constexpr double duration_s_max = 86'400;
constexpr double rate_max = 10'000'000;
constexpr unsigned functions_max = 100'000;
constexpr std::size_t input_bytes_max = std::size_t{6} << 20;  // what the API takes, docs/api.md
constexpr unsigned cold_functions_default = 100;
constexpr unsigned trace_functions_default = 50;
constexpr unsigned connections_default = 16;

void add_target(CLI::App& command, options& into) {
    command.add_option("URL", into.url, "The server, http://HOST:PORT with a numeric host")
        ->capture_default_str();
    command.add_option("--api-key", into.api_key, "Sent as x-api-key")->envname("INFRA_API_KEY");
    command.add_option("--header", into.headers, "\"name: value\" to add to each call");
}

void add_work(CLI::App& command, options& into) {
    const std::map<std::string, mode> modes{
        {"warm", mode::warm}, {"cold", mode::cold}, {"mixed", mode::mixed}, {"trace", mode::trace}};
    command
        .add_option_function<std::string>(
            "--mode", [&into, modes](const std::string& name) { into.what = modes.at(name); },
            "warm: calls of functions that were called before; cold: each call is the first of "
            "its function; mixed: both; trace: functions as often called and as long running as "
            "--traces says")
        ->check(CLI::IsMember({"warm", "cold", "mixed", "trace"}))
        ->default_str("warm");
    command.add_option("--path", into.path,
                       "GET this path instead of calling functions, of any HTTP/1.1 server");
    command.add_flag("--post", into.post, "With --path: POST the input to it");
    command.add_option("--function-id", into.function_id, "Call this function of the server's");
    command.add_option("--function", into.function_file,
                       "Upload this .py file and call it, instead of one that returns its event");
    command.add_option("--input", into.input, "The event: JSON, or @FILE")->capture_default_str();
    command
        .add_option("--input-bytes", into.input_bytes,
                    "An event of about this size, instead of --input")
        ->check(CLI::Range(std::size_t{1}, input_bytes_max));
    command
        .add_option("--functions", into.functions,
                    "How many functions to upload: 1 for warm, 100 for cold and mixed, of which "
                    "each is called once, 50 for trace")
        ->check(CLI::Range(1U, functions_max));
    command.add_option("--cold-share", into.cold_share, "mixed: share of first calls")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    command.add_option("--traces", into.traces,
                       "Folder with serverlessbench-execTimeCDF.csv and -invokesCDF.csv");
    command
        .add_option("--time-scale", into.time_scale,
                    "trace: functions run this part of the traced time")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    command.add_option("--max-function-ms", into.max_function_ms, "trace: and this at most")
        ->check(CLI::Range(0.0, 900'000.0))
        ->capture_default_str();
    command.add_flag("--keep", into.keep, "Leave the uploaded functions on the server");
}

void add_load(CLI::App& command, options& into) {
    into.plan.connections = connections_default;
    command.add_option("-c,--connections", into.plan.connections, "Kept connections in all")
        ->check(CLI::Range(1U, connections_max))
        ->capture_default_str();
    command.add_option("-t,--threads", into.plan.threads, "Threads that they are shared among")
        ->check(CLI::Range(1U, threads_max))
        ->capture_default_str();
    command
        .add_option("-r,--rate", into.plan.rate,
                    "Calls per second, sent when due (open loop). Without it each connection sends "
                    "as soon as it has an answer (closed loop)")
        ->check(CLI::Range(0.001, rate_max));
    command.add_flag("--poisson", into.poisson,
                     "With --rate: at random intervals, as independent callers do");
    command.add_flag("--reconnect", into.reconnect, "A connection for each call, none kept");
    command.add_option("--calls", into.plan.calls_max,
                       "End after so many calls, where --duration does not end before");
    command.add_option("-d,--duration", into.duration_s, "Seconds that are measured")
        ->check(CLI::Range(0.1, duration_s_max))
        ->capture_default_str();
    command.add_option("--warm-up", into.warm_up_s, "Seconds before that, not measured; 0: none")
        ->check(CLI::Range(0.0, duration_s_max))
        ->capture_default_str();
    command.add_option("--timeout", into.timeout_s, "Seconds that one call may take")
        ->check(CLI::Range(0.001, duration_s_max))
        ->capture_default_str();
    command.add_option("--seed", into.plan.seed, "Of what is drawn at random")
        ->capture_default_str();
}

nanoseconds to_nanoseconds(double seconds) {
    return std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(seconds));
}

result<> read_input(options& chosen) {
    if (chosen.input_bytes > 0) {
        constexpr std::size_t around = 11;  // of {"fill":""}
        chosen.input = concat(
            R"({"fill":")",
            std::string(chosen.input_bytes - std::min(chosen.input_bytes, around), 'x'), R"("})");
    } else if (chosen.input.starts_with('@')) {
        const std::ifstream file(chosen.input.substr(1));
        if (!file) {
            return fail_errno(concat("--input ", chosen.input));
        }
        std::ostringstream text;
        text << file.rdbuf();
        chosen.input = text.str();
    }
    if (auto valid = json::validate(chosen.input); !valid) {
        return fail(errc::invalid_argument, concat("--input: ", valid.error().message));
    }
    return {};
}

unsigned functions_of(mode what) {
    switch (what) {
        case mode::warm:
            return 1;
        case mode::trace:
            return trace_functions_default;
        case mode::cold:
        case mode::mixed:
            break;
    }
    return cold_functions_default;
}

}  // namespace

void add_options(CLI::App& command, options& into) {
    add_target(command, into);
    add_work(command, into);
    add_load(command, into);
    command.add_flag("--json", into.json, "Print the figures as JSON");
    command.add_option("--svg", into.svg, "Draw the latency curve into this file");
}

result<> complete(options& chosen) {
    std::string problems;
    const auto require = [&](bool holds, std::string_view what) {
        problems += holds ? std::string() : concat("\n  ", what);
    };
    constexpr std::string_view scheme = "http://";
    if (chosen.url.starts_with(scheme)) {
        chosen.url.erase(0, scheme.size());
    }
    while (chosen.url.ends_with('/')) {
        chosen.url.pop_back();
    }
    require(!chosen.url.contains("://"), "URL: only http:// is spoken; measure behind the TLS end");
    require(chosen.path.empty() || chosen.path.starts_with('/'), "--path: begin it with /");
    require(chosen.path.empty() || chosen.what == mode::warm, "--path: has no --mode");
    require(!chosen.post || !chosen.path.empty(), "--post: give --path");
    require(chosen.plan.calls_max == 0 || chosen.plan.calls_max >= chosen.plan.threads,
            "--calls: at least as many as --threads");
    require(chosen.function_id.empty() || chosen.what == mode::warm,
            "--function-id: only with --mode warm");
    require(chosen.what != mode::trace || !chosen.traces.empty(), "--mode trace: give --traces");
    require(chosen.what != mode::trace || chosen.plan.rate > 0, "--mode trace: give --rate");
    require(!chosen.poisson || chosen.plan.rate > 0, "--poisson: give --rate");
    require(chosen.plan.connections >= chosen.plan.threads,
            "--connections: at least as many as --threads");
    if (!problems.empty()) {
        return fail(errc::invalid_argument, "settings:" + problems);
    }
    if (auto read = read_input(chosen); !read) {
        return read;
    }
    if (chosen.functions == 0) {
        chosen.functions = functions_of(chosen.what);
    }
    if (chosen.what == mode::cold) {
        chosen.warm_up_s = 0;  // it would use up the first calls
    }
    // Traced callers know nothing of each other.
    const bool independent = chosen.poisson || chosen.what == mode::trace;
    chosen.plan.spacing = independent ? arrivals::spacing::exponential : arrivals::spacing::even;
    chosen.plan.address = chosen.url;
    chosen.plan.keep_alive = !chosen.reconnect;
    chosen.plan.duration = to_nanoseconds(chosen.duration_s);
    chosen.plan.timeout = to_nanoseconds(chosen.timeout_s);
    return {};
}

}  // namespace hearth::bench
