#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <sys/types.h>

#include "base/unique_fd.h"
#include "sandbox/client.h"
#include "sandbox/frame.h"

// A blocking worker in small, over the real hearth-sandboxd and real sandboxes. Every wait ends by
// an event; the time-outs only keep a broken build from hanging.

namespace hearth::sandbox::testing {

// A directory with a function's files, removed at the end.
class code_directory {
public:
    explicit code_directory(const std::map<std::string, std::string>& files);
    code_directory(const code_directory&) = delete;
    code_directory& operator=(const code_directory&) = delete;
    ~code_directory();

    [[nodiscard]] int descriptor() const { return descriptor_.get(); }
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
    unique_fd descriptor_;
};

struct answer {
    frame_type type{};  // 0 when the stream ended instead
    std::string payload;
    [[nodiscard]] bool is(frame_type wanted) const { return type == wanted; }
    [[nodiscard]] bool ended() const { return type == frame_type{}; }
};

// Reads a sandbox's output pipe until it ends; keeps the first bytes and counts all.
class output_reader {
public:
    explicit output_reader(unique_fd pipe);
    output_reader(const output_reader&) = delete;
    output_reader& operator=(const output_reader&) = delete;
    ~output_reader();

    // Waits for the end of the pipe.
    [[nodiscard]] const std::string& finish();
    [[nodiscard]] std::uint64_t count() const { return count_; }

private:
    unique_fd pipe_;
    std::string kept_;
    std::uint64_t count_ = 0;
    std::thread thread_;
};

class test_sandbox {
public:
    test_sandbox(std::uint64_t id, unique_fd stream, unique_fd output)
        : id_(id), output_(std::move(output)), stream_(std::move(stream)) {}

    [[nodiscard]] std::uint64_t id() const { return id_; }
    [[nodiscard]] pid_t init_pid() const { return created.init_pid; }

    answer init(const init_parameters& parameters);
    void send_invoke(std::string_view event, std::string_view request_id = "request-1");
    answer receive();
    answer invoke(std::string_view event, std::string_view request_id = "request-1");
    [[nodiscard]] output_reader& output() { return output_; }
    [[nodiscard]] int stream() const { return stream_.get(); }
    void close_stream() { stream_.reset(); }

    created_packet created{};
    gauges shown;

private:
    std::uint64_t id_;
    output_reader output_;
    unique_fd stream_;  // closed first: output_ waits for the sandbox to end
    std::uint64_t nonce_ = 0;
};

// Which way the sandboxes of default_options() are made: the suites about what a function meets
// inside run once for each. From the environment variable HEARTH_TEST_WAY.
[[nodiscard]] start_way tested_way();
[[nodiscard]] launch_options default_options();
// Whether their sandboxes are limited in memory and processes: an ordinary user may have no cgroup.
[[nodiscard]] bool has_limits();
[[nodiscard]] init_parameters default_parameters(std::string handler = "main.handler");

class sandbox_host {
public:
    explicit sandbox_host(const launch_options& options = default_options());

    // Sends a create request and waits for created; fails the test on anything else.
    std::unique_ptr<test_sandbox> create(const code_directory& code, create_packet wanted = {});
    // The same, and its function is imported: it takes calls.
    std::unique_ptr<test_sandbox> start(const code_directory& code, create_packet wanted = {});
    // As create(), for whatever event answers it.
    event try_create(const code_directory& code, std::unique_ptr<test_sandbox>& out,
                     create_packet wanted = {});
    // Waits for this sandbox's exited packet; others that arrive meanwhile are kept.
    exited_packet await_exit(const test_sandbox& which);
    void kill(const test_sandbox& which);
    received_event next_event();
    // Waits until `count` sandboxes wait for a function.
    void await_parked(std::uint32_t count);
    // The same, for sandboxes that lack only Python.
    void await_shells(std::uint32_t count);
    // Waits until Python can be forked.
    void await_zygote();
    void await_next_zygote() {
        has_zygote_ = false;
        await_zygote();
    }
    // The zygotes that live, the oldest first; and how many of them the worker was told of.
    [[nodiscard]] std::vector<pid_t> zygotes() const;
    [[nodiscard]] std::uint32_t zygotes_told() const { return zygotes_; }
    [[nodiscard]] client& control() { return *client_; }
    void disconnect(int expected_exit_code = 0);

private:
    // Takes note of an event that answers no request; false for others.
    bool keep(const received_event& next);

    std::unique_ptr<client> client_;
    bool parks_ = false;
    bool has_zygote_ = false;
    std::uint32_t zygotes_ = 0;
    std::uint32_t parked_ = 0;
    std::uint32_t shells_ = 0;
    std::uint64_t next_id_ = 1;
    std::map<std::uint64_t, exited_packet> exits_;
};

// Runs one function: create, init, one invoke; the error texts show up in the test's output.
struct one_run {
    answer init;
    answer result;
    std::string output;
};
[[nodiscard]] one_run run_function(const std::map<std::string, std::string>& files,
                                   std::string_view event = "null",
                                   init_parameters parameters = default_parameters(),
                                   create_packet wanted = {});
// The result's JSON of a function whose main.py is `source`; anything else fails the test.
[[nodiscard]] std::string result_of(const std::string& source, std::string_view event = "null");
// A string member of an error frame's payload.
[[nodiscard]] std::string member_of(const answer& from, std::string_view name);

// Directories of this test's instance in any cgroup hierarchy.
[[nodiscard]] std::vector<std::string> instance_cgroups(const std::string& instance);
// One field of /proc/PID/status, as "Name:"; empty when there is none.
[[nodiscard]] std::string status_field(pid_t process, std::string_view name);
[[nodiscard]] std::vector<pid_t> children_of(pid_t parent);
[[nodiscard]] bool process_exists(pid_t process);
// Waits for a process that is not our child to end.
void await_end(pid_t process);

}  // namespace hearth::sandbox::testing
