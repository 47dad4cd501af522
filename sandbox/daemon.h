#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/options.h"
#include "sandbox/outbox.h"
#include "sandbox/sandbox_table.h"
#include "sandbox/spawner.h"

// The loop of hearth-sandboxd: one thread, one epoll set with the worker's socket and, per sandbox,
// the status pipe and init's pidfd. It never waits for a peer.
//
// Sandboxes are also made ahead of requests (daemon_parking.cc): while nothing else is to be done,
// one at a time, until `parked` of them wait and `shells` beside them, which lack Python. They hold
// slots that nobody needs, and are the first to go when slots run out; the request that displaces
// one waits until its slot is free.
//
// It ends with its worker: end of file on the socket kills every sandbox and removes the cgroups. A
// packet that no worker sends ends it the same way, with an error: a confused worker gets no
// sandboxes.

namespace hearth::sandbox {

class daemon {
public:
    [[nodiscard]] static result<daemon> make(const daemon_options& options, spawner ready);

    // Until the socket ends. Everything is removed when it returns; an error is what ended it
    // early.
    [[nodiscard]] result<> run();

private:
    daemon(const daemon_options& options, spawner ready, unique_fd epoll)
        : socket_(options.socket),
          parked_target_(options.parked),
          shells_target_(options.shells),
          trace_(options.trace),
          spawner_(std::move(ready)),
          table_(options.slots),
          outbox_(options.socket),
          epoll_(std::move(epoll)) {}

    enum class source : std::uint64_t { socket, status, process, memory, zygote };

    [[nodiscard]] result<> watch(int fd, source kind, std::uint32_t slot, std::uint32_t events);
    [[nodiscard]] result<> watch_socket();
    [[nodiscard]] result<> wait_and_dispatch();
    [[nodiscard]] int timeout_ms();
    [[nodiscard]] result<> handle_sandbox(source kind, std::uint32_t slot);
    [[nodiscard]] result<> handle_socket();
    [[nodiscard]] result<> handle_request(received_packet& packet);
    [[nodiscard]] result<> handle_create(const create_packet& wanted, received_packet& packet);
    // A request that gets its slot once an evicted sandbox is gone, or another try.
    struct waiting_create {
        create_packet wanted;
        unique_fd code;
        steady_time requested_at;
        bool without_zygote = false;
    };
    [[nodiscard]] result<> start(waiting_create request);
    void fork_python(sandbox_entry& entry, bool to_be_parked);
    void fail_start(sandbox_entry& entry, const spawn_failure& why);
    [[nodiscard]] static bool deserves_another_try(const sandbox_entry& entry);
    [[nodiscard]] result<> use_parked(sandbox_entry& entry, const create_packet& wanted, int code,
                                      steady_time requested_at);
    [[nodiscard]] result<> use_shell(sandbox_entry& entry, waiting_create request,
                                     std::uint64_t zygote);
    [[nodiscard]] result<> watch_sandbox(sandbox_entry& entry);
    void unwatch(unique_fd& fd) const;
    [[nodiscard]] result<> report_created(sandbox_entry& entry, start_way way);
    static void log_stages(const sandbox_entry& entry, start_way way);
    [[nodiscard]] result<> serve_waiting();
    [[nodiscard]] bool evict_one();

    // What the pool lacks most.
    enum class pool_step { none, shell, fork_into_shell, program };
    [[nodiscard]] pool_step next_pool_step() const;
    [[nodiscard]] int milliseconds_to_refill() const;
    [[nodiscard]] result<> refill();
    [[nodiscard]] result<> make_ahead(start_way way);
    [[nodiscard]] result<> keep_shell(sandbox_entry& entry);
    [[nodiscard]] result<> park(sandbox_entry& entry);
    void pace_refill(steady_time began);
    [[nodiscard]] result<> report_pool();
    [[nodiscard]] result<> handle_zygotes();
    void note_pooled_end(const sandbox_entry& entry);
    void delay_refill();
    [[nodiscard]] result<> read_status(sandbox_entry& entry);
    [[nodiscard]] result<> handle_record(sandbox_entry& entry, const status_record& record);
    [[nodiscard]] result<> reap(sandbox_entry& entry);
    [[nodiscard]] result<> drain(sandbox_entry& entry);
    [[nodiscard]] result<> report_end(const sandbox_entry& entry, const cgroup_usage& used);
    [[nodiscard]] result<> report_failure(std::uint64_t id, std::string_view stage,
                                          const error& cause);
    [[nodiscard]] result<> check_timers();
    void end_out_of_memory(sandbox_entry& entry);
    void kill(sandbox_entry& entry);
    void shut_down();

    int socket_;
    std::uint32_t parked_target_;
    std::uint32_t shells_target_;
    bool trace_;
    spawner spawner_;
    sandbox_table table_;
    outbox outbox_;
    unique_fd epoll_;
    std::size_t starting_ = 0;         // entries that have a start deadline
    std::size_t draining_ = 0;         // entries whose cgroups are still to be removed
    std::uint32_t socket_events_ = 0;  // what epoll watches the socket for
    bool socket_open_ = true;
    bool zygote_was_ready_ = false;            // as the worker was told
    std::uint32_t zygotes_reported_ = 0;       // likewise
    std::vector<std::uint32_t> parked_slots_;  // the longest parked first
    std::vector<std::uint32_t> shell_slots_;   // the oldest first
    bool making_ahead_ = false;                // one of either is on its way
    steady_time refill_at_;                    // not before
    milliseconds refill_pause_{0};             // after a failure; doubles
    std::deque<waiting_create> waiting_;       // at most one per evicted sandbox
};

}  // namespace hearth::sandbox
