#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "sandbox/host_ids.h"
#include "sandbox/protocol.h"

namespace hearth::sandbox {

inline constexpr std::size_t instance_name_max = 32;

// The command line of hearth-sandboxd. It is started by a worker, never by hand.
struct daemon_options {
    int socket = -1;          // --socket-fd
    std::string instance;     // --instance
    std::string runtime_dir;  // --runtime-dir
    std::string python = "/usr/bin/python3";
    std::uint32_t slots = slots_default;
    std::uint32_t parked = parked_default;  // --parked
    std::uint32_t shells = shells_default;  // --shells
    bool allow_no_limits = false;
    host_ids ids;  // --host-ids ranges|own: it is in a user namespace, where it executed itself
    zygote_mode zygote = zygote_mode::shared;               // --zygote shared|per-function|off
    std::uint32_t zygote_forks = zygote_forks_default;      // --zygote-forks
    std::uint32_t zygote_minutes = zygote_minutes_default;  // --zygote-minutes
    // These three where each function has its own.
    std::uint32_t zygote_spares = zygote_spares_default;              // --zygote-spares
    std::uint32_t zygote_functions = zygote_functions_default;        // --zygote-functions
    std::uint32_t zygote_idle_seconds = zygote_idle_seconds_default;  // --zygote-idle-seconds
    std::string zygote_modules;                         // --zygote-modules, with commas
    std::string numpy_modules = numpy_modules_default;  // --numpy-modules; empty: none
    bool trace = false;  // --trace: each start's stages are logged, for bench/sandbox
};

[[nodiscard]] result<daemon_options> parse_daemon_options(std::span<char* const> arguments);

}  // namespace hearth::sandbox
