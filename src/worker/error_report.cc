#include "worker/error_report.h"

#include <csignal>
#include <cstring>

#include "base/concat.h"
#include "base/json.h"

namespace hearth::worker {
namespace {

constexpr std::size_t type_bytes_max = 256;

}  // namespace

faas::outcome failure_outcome(std::string_view type, std::string message) {
    faas::outcome failed;
    failed.status = faas::invocation_status::failed;
    failed.error_type = type;
    failed.failure = faas::kind_of(type);
    failed.error_message = std::move(message);
    return failed;
}

faas::outcome checked_result(std::string text) {
    if (auto valid = json::validate(text); !valid) {
        return failure_outcome(faas::error_type::protocol_violation,
                               concat("the result is not valid JSON: ", valid.error().message));
    }
    faas::outcome succeeded;
    succeeded.status = faas::invocation_status::succeeded;
    succeeded.result_json = std::move(text);
    return succeeded;
}

faas::outcome reported_failure(std::string_view text, bool importing) {
    faas::outcome failed = failure_outcome(faas::error_type::protocol_violation,
                                           "the sandbox reported an error of unknown shape");
    std::string type;
    std::string message;
    std::string stack = "[]";
    bool well_formed = true;
    const auto scanned = json::scan_object(text, [&](std::string_view name, std::string_view raw) {
        if (name == "errorType" || name == "errorMessage") {
            auto value = json::unescape_string(raw);
            well_formed = well_formed && value.has_value();
            (name == "errorType" ? type : message) = value.value_or("");
        } else if (name == "stackTrace") {
            well_formed = well_formed && raw.starts_with('[');
            stack = raw;
        }
    });
    if (scanned && well_formed && !type.empty() && type.size() <= type_bytes_max) {
        failed.failure = faas::kind_of_reported(type, importing);
        failed.error_type = std::move(type);
        failed.error_message = std::move(message);
        failed.stack_trace_json = std::move(stack);
    }
    return failed;
}

faas::outcome out_of_memory_outcome(const faas::function& target) {
    return failure_outcome(faas::error_type::out_of_memory,
                           concat("Runtime exited: out of memory at the limit of ",
                                  target.memory_mb, " MB; give the function more memoryMb"));
}

faas::outcome exit_outcome(const sandbox::exited_packet& exit, const faas::function& target) {
    if (exit.oom_kills > 0) {
        return out_of_memory_outcome(target);
    }
    if (exit.kind != sandbox::exit_kind::signal) {
        return failure_outcome(faas::error_type::exited,
                               concat("Runtime exited with error: exit status ", exit.value,
                                      "; a handler ends by returning"));
    }
    if (exit.value == SIGSYS) {
        return failure_outcome(
            faas::error_type::policy_violation,
            "Runtime exited with error: signal 31 (SIGSYS): the function made a system call that "
            "no sandbox may make; docs/sandbox.md lists what is allowed");
    }
    const char* name = ::sigabbrev_np(exit.value);
    return failure_outcome(
        faas::error_type::crashed,
        concat("Runtime exited with error: signal ", exit.value, " (SIG",
               name == nullptr ? "?" : name, "); its logs and its native libraries may tell why"));
}

sandbox::init_parameters init_parameters_of(const faas::function& target) {
    sandbox::init_parameters parameters;
    parameters.handlers = target.handlers;
    parameters.function_name = target.name;
    parameters.function_version = std::to_string(target.revision);
    parameters.function_arn = concat("arn:hearth:function:", target.id);
    parameters.log_group_name = concat("/hearth/", target.name);
    parameters.log_stream_name = concat(target.id, "/", target.revision);
    parameters.memory_mb = static_cast<std::uint32_t>(target.memory_mb);
    parameters.environment = target.env;
    return parameters;
}

}  // namespace hearth::worker
