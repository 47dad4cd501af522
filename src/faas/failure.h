#pragma once

#include <cstdint>
#include <string_view>

// Why an invocation failed. docs/api.md lists the error types that callers see, and the kind of
// each, which is a label of hearth_invocation_failures_total. No I/O.

namespace hearth::faas {

enum class failure_kind : std::uint8_t {
    none,
    handler_error,     // the handler raised
    import_error,      // its module did not import
    handler_missing,   // its module has no such function
    result_unusable,   // JSON cannot hold what it returned
    result_too_large,  // over payload_bytes_max
    timeout,           // over timeoutMs, or an import over its own limit
    out_of_memory,     // over memoryMb, or a child of it
    crash,             // ended by a signal
    exit,              // ended by itself
    policy,            // killed for a system call that no sandbox may make
    protocol,          // sent what the runtime would not
    crash_loop,        // not tried: its sandboxes failed to start again and again
    host,              // the host's doing
    worker_lost,       // its worker was lost while it ran
};
inline constexpr failure_kind failure_kind_last = failure_kind::worker_lost;

// "handler_error", "import_error", …
[[nodiscard]] std::string_view to_string(failure_kind kind) noexcept;

// Error types that Hearth itself reports; a handler's own exceptions carry their class name.
namespace error_type {
inline constexpr std::string_view import_failed = "Runtime.ImportModuleError";
inline constexpr std::string_view syntax_error = "Runtime.UserCodeSyntaxError";
inline constexpr std::string_view handler_missing = "Runtime.HandlerNotFound";
inline constexpr std::string_view handler_malformed = "Runtime.MalformedHandlerName";
inline constexpr std::string_view marshal_failed = "Runtime.MarshalError";
inline constexpr std::string_view response_too_large = "Function.ResponseSizeTooLarge";
inline constexpr std::string_view timed_out = "Sandbox.Timedout";
inline constexpr std::string_view out_of_memory = "Runtime.OutOfMemory";
inline constexpr std::string_view exited = "Runtime.ExitError";
inline constexpr std::string_view crashed = "Runtime.Crashed";
inline constexpr std::string_view policy_violation = "Sandbox.PolicyViolation";
inline constexpr std::string_view protocol_violation = "Sandbox.ProtocolViolation";
inline constexpr std::string_view crash_loop = "Sandbox.CrashLoop";
inline constexpr std::string_view start_failed = "Sandbox.StartFailed";
inline constexpr std::string_view code_unavailable = "Runtime.CodeUnavailable";
inline constexpr std::string_view worker_lost = "Host.WorkerLost";
}  // namespace error_type

// Of a type that Hearth itself found out.
[[nodiscard]] failure_kind kind_of(std::string_view error_type) noexcept;
// Of a type that the process in the sandbox reported, while it imported the handler or later. It
// can claim anything, so only what the runtime reports there counts; all else is the function's.
[[nodiscard]] failure_kind kind_of_reported(std::string_view error_type, bool importing) noexcept;

}  // namespace hearth::faas
