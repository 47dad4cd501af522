#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <sys/types.h>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/packet_socket.h"
#include "sandbox/protocol.h"

// What a worker needs to have sandboxes: starts hearth-sandboxd and exchanges packets with it.
//
// Problem: the process that owns clone, mount and cgroups must be small, single-threaded and
// without credentials, and must not outlive its worker. Solution: launch() forks it before the
// worker has a ring or threads; the socket pair is the only tie. When the client is destroyed or
// its process dies, sandboxd reads EOF, kills every sandbox, removes its cgroups and exits.
//
// One thread at a time. No call blocks except launch() and close_and_wait().

namespace hearth::sandbox {

struct launch_options {
    std::string program;              // path of hearth-sandboxd
    std::string instance = "hearth";  // names the cgroups; [a-z0-9-], 1 to 32 characters
    std::string runtime_dir;          // holds bootstrap.py; seen read-only as /runtime inside
    std::string python = "/usr/bin/python3";
    std::uint32_t slots = slots_default;
    std::uint32_t parked = parked_default;  // sandboxes kept ready for a function; 0 to parked_max
    std::uint32_t shells = shells_default;  // kept ready but for Python; 0 to shells_max
    bool trace = false;                     // each start's stages are logged
    // Python is forked from hearth-zygote, which lies beside `program`, unless this is off.
    zygote_mode zygote = zygote_mode::shared;
    std::uint32_t zygote_forks = zygote_forks_default;          // until it is replaced
    std::uint32_t zygote_minutes = zygote_minutes_default;      // likewise
    std::uint32_t zygote_spares = zygote_spares_default;        // per_function: of no function yet
    std::uint32_t zygote_functions = zygote_functions_default;  // that have one at most
    std::uint32_t zygote_idle_seconds = zygote_idle_seconds_default;  // without a sandbox
    std::string zygote_modules;  // imported ahead beside the usual ones; with commas
    std::string numpy_modules = numpy_modules_default;
    bool allow_no_limits = false;  // start even where no memory or pids limit can be enforced
};

// An event and the descriptors that came with it (created only; empty otherwise).
struct received_event {
    event what;
    unique_fd control_stream;
    unique_fd output;  // non-blocking
    gauges shown;
};

class client {
public:
    // Starts hearth-sandboxd and waits for its hello until `until`. A host that cannot run
    // sandboxes gives errc::unavailable with sandboxd's own text: what is missing and what to do.
    // Call before threads exist.
    [[nodiscard]] static result<client> launch(const launch_options& options, deadline until);

    client(client&&) noexcept = default;
    client& operator=(client&&) noexcept = default;
    client(const client&) = delete;
    client& operator=(const client&) = delete;
    ~client() = default;

    // Readable when receive() has something, writable when send may go on. Never read it directly.
    [[nodiscard]] int descriptor() const { return socket_.get(); }
    [[nodiscard]] const hello_packet& hello() const { return hello_; }
    [[nodiscard]] pid_t process() const { return process_; }

    // The descriptor stays the caller's and may be closed once the call returns.
    // errc::invalid_argument: a limit is out of range. errc::limit_exceeded: the socket is full,
    // try again when it is writable. errc::closed: sandboxd is gone.
    [[nodiscard]] result<> create(const create_packet& wanted, int code_directory);
    [[nodiscard]] result<> kill(std::uint64_t sandbox_id);

    // The next event, or nothing when none is waiting. errc::closed: sandboxd is gone and with it
    // every sandbox. errc::protocol: it sent what no sandboxd sends.
    [[nodiscard]] result<std::optional<received_event>> receive();

    // Ends the connection and waits until sandboxd has removed everything and exited; its wait
    // status.
    [[nodiscard]] result<int> close_and_wait(deadline until);

private:
    client(unique_fd socket, unique_fd process_fd, pid_t process)
        : socket_(std::move(socket)), process_fd_(std::move(process_fd)), process_(process) {}

    [[nodiscard]] result<> await_hello(deadline until);

    unique_fd socket_;
    unique_fd process_fd_;
    pid_t process_ = -1;
    hello_packet hello_{};
};

}  // namespace hearth::sandbox
