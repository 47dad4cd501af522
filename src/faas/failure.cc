#include "faas/failure.h"

#include <array>
#include <utility>

namespace hearth::faas {
namespace {

struct known_type {
    std::string_view type;
    failure_kind kind;
    bool by_runtime;  // the runtime in the sandbox reports it
};

constexpr std::array known_types{
    known_type{error_type::import_failed, failure_kind::import_error, true},
    known_type{error_type::syntax_error, failure_kind::import_error, true},
    known_type{error_type::handler_missing, failure_kind::handler_missing, true},
    known_type{error_type::handler_malformed, failure_kind::handler_missing, true},
    known_type{error_type::marshal_failed, failure_kind::result_unusable, true},
    known_type{error_type::response_too_large, failure_kind::result_too_large, true},
    known_type{error_type::exited, failure_kind::exit, true},
    known_type{error_type::timed_out, failure_kind::timeout, false},
    known_type{error_type::out_of_memory, failure_kind::out_of_memory, false},
    known_type{error_type::crashed, failure_kind::crash, false},
    known_type{error_type::policy_violation, failure_kind::policy, false},
    known_type{error_type::protocol_violation, failure_kind::protocol, false},
    known_type{error_type::crash_loop, failure_kind::crash_loop, false},
    known_type{error_type::start_failed, failure_kind::host, false},
    known_type{error_type::code_unavailable, failure_kind::host, false},
    known_type{error_type::worker_lost, failure_kind::worker_lost, false},
};

}  // namespace

std::string_view to_string(failure_kind kind) noexcept {
    switch (kind) {
        case failure_kind::none:
            return "none";
        case failure_kind::handler_error:
            return "handler_error";
        case failure_kind::import_error:
            return "import_error";
        case failure_kind::handler_missing:
            return "handler_missing";
        case failure_kind::result_unusable:
            return "result_unusable";
        case failure_kind::result_too_large:
            return "result_too_large";
        case failure_kind::timeout:
            return "timeout";
        case failure_kind::out_of_memory:
            return "out_of_memory";
        case failure_kind::crash:
            return "crash";
        case failure_kind::exit:
            return "exit";
        case failure_kind::policy:
            return "policy";
        case failure_kind::protocol:
            return "protocol";
        case failure_kind::crash_loop:
            return "crash_loop";
        case failure_kind::host:
            return "host";
        case failure_kind::worker_lost:
            return "worker_lost";
    }
    return "?";
}

failure_kind kind_of(std::string_view error_type) noexcept {
    for (const known_type& each : known_types) {
        if (each.type == error_type) {
            return each.kind;
        }
    }
    return failure_kind::host;
}

failure_kind kind_of_reported(std::string_view error_type, bool importing) noexcept {
    for (const known_type& each : known_types) {
        if (each.type == error_type && each.by_runtime) {
            return each.kind;
        }
    }
    return importing ? failure_kind::import_error : failure_kind::handler_error;
}

}  // namespace hearth::faas
