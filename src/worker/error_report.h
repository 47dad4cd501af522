#pragma once

#include <string>
#include <string_view>

#include "faas/invocation.h"
#include "sandbox/frame.h"
#include "sandbox/protocol.h"

namespace hearth::worker {

// What a sandbox reported, turned into outcomes. All input here is hostile.

[[nodiscard]] faas::outcome failure_outcome(std::string_view type, std::string message);

// A result frame: success when it is one valid JSON value, a protocol violation otherwise.
[[nodiscard]] faas::outcome checked_result(std::string json);

// An error frame's JSON, or an init_error frame's; a protocol violation when it is not of the
// documented shape.
[[nodiscard]] faas::outcome reported_failure(std::string_view json, bool importing = false);

// The process ended by itself, by a signal or by the kernel.
[[nodiscard]] faas::outcome exit_outcome(const sandbox::exited_packet& exit,
                                         const faas::function& target);
[[nodiscard]] faas::outcome out_of_memory_outcome(const faas::function& target);

[[nodiscard]] sandbox::init_parameters init_parameters_of(const faas::function& target);

}  // namespace hearth::worker
