#include "sandbox/daemon.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/log.h"
#include "sandbox/kernel.h"

namespace hearth::sandbox {
namespace {

constexpr seconds start_time_max{10};      // from request to execve; usually a millisecond
constexpr milliseconds drain_step{2};      // between attempts to remove a cgroup
constexpr seconds shut_down_time_max{10};  // for every process to end after SIGKILL
constexpr int events_per_wait = 64;
constexpr unsigned source_bits = 3;

}  // namespace

result<daemon> daemon::make(const daemon_options& options, spawner ready) {
    unique_fd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll) {
        return fail_errno("epoll_create1");
    }
    daemon made(options, std::move(ready), std::move(epoll));
    for (const int each : made.spawner_.zygotes().descriptors()) {
        if (auto ok = made.watch(each, source::zygote, 0, EPOLLIN); !ok) {
            return propagate(ok);
        }
    }
    hello_packet hello;
    const cgroup_tree& cgroups = made.spawner_.cgroups();
    hello.form = cgroups.form();
    hello.slots = options.slots;
    hello.landlock_abi = made.spawner_.landlock();
    hello.limits_memory = cgroups.limits_memory() ? 1 : 0;
    hello.limits_pids = cgroups.limits_pids() ? 1 : 0;
    hello.limits_cpu = cgroups.limits_cpu() ? 1 : 0;
    hello.one_user = made.spawner_.ids().one_for_all() ? 1 : 0;
    if (auto sent = made.outbox_.send(bytes_of(hello)); !sent) {
        return propagate(sent);
    }
    return made;
}

result<> daemon::watch(int fd, source kind, std::uint32_t slot, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = (std::uint64_t{slot} << source_bits) | static_cast<std::uint64_t>(kind);
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
        return fail_errno("epoll_ctl");
    }
    return {};
}

// A descriptor that a process cloned meanwhile, or the zygote, still holds a copy of stays in the
// epoll set when it is closed, and would wake this loop again and again until they let go of it.
void daemon::unwatch(unique_fd& fd) const {
    if (fd) {
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
        fd.reset();
    }
}

// Requests are read only while nothing waits to be sent; see outbox.
result<> daemon::watch_socket() {
    const std::uint32_t wanted = outbox_.empty() ? EPOLLIN : EPOLLOUT;
    if (wanted == socket_events_) {
        return {};
    }
    epoll_event event{};
    event.events = wanted;
    event.data.u64 = static_cast<std::uint64_t>(source::socket);
    const int operation = socket_events_ == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (::epoll_ctl(epoll_.get(), operation, socket_, &event) != 0) {
        return fail_errno("epoll_ctl of the worker's socket");
    }
    socket_events_ = wanted;
    return {};
}

result<> daemon::run() {
    result<> ended;
    while (socket_open_) {
        ended = watch_socket();
        if (ended) {
            ended = wait_and_dispatch();
        }
        if (ended) {
            ended = report_pool_change();
        }
        if (!ended) {
            break;
        }
    }
    shut_down();
    if (!ended && ended.error().code == errc::closed) {
        return {};
    }
    return ended;
}

// A start deadline needs no precision: it only bounds how long a sandbox that hangs holds its slot.
int daemon::timeout_ms() {
    if (draining_ > 0) {
        return static_cast<int>(drain_step.count());
    }
    constexpr int coarse_ms = 500;
    const int until_start_deadline = starting_ > 0 ? coarse_ms : -1;
    const int until_refill = milliseconds_to_refill();
    if (until_start_deadline < 0 || until_refill < 0) {
        return std::max(until_start_deadline, until_refill);
    }
    return std::min(until_start_deadline, until_refill);
}

result<> daemon::wait_and_dispatch() {
    std::array<epoll_event, events_per_wait> events;
    const int count = ::epoll_wait(epoll_.get(), events.data(), events_per_wait, timeout_ms());
    if (count < 0 && errno != EINTR) {
        return fail_errno("epoll_wait");
    }
    bool socket_ready = false;
    for (int i = 0; i < count; ++i) {
        const std::uint64_t key = events[static_cast<std::size_t>(i)].data.u64;
        const auto kind = static_cast<source>(key & ((1U << source_bits) - 1));
        if (kind == source::socket) {
            socket_ready = true;
            continue;
        }
        if (kind == source::zygote) {
            if (auto ok = handle_zygotes(); !ok) {
                return ok;
            }
            continue;
        }
        if (auto ok = handle_sandbox(kind, static_cast<std::uint32_t>(key >> source_bits)); !ok) {
            return ok;
        }
    }
    if (auto ok = check_timers(); !ok) {
        return ok;
    }
    // Last, since these may reuse a slot that an event of this batch still names.
    if (auto ok = serve_waiting(); !ok) {
        return ok;
    }
    if (socket_ready) {
        return handle_socket();
    }
    return count == 0 ? refill() : result<>();
}

result<> daemon::handle_sandbox(source kind, std::uint32_t slot) {
    sandbox_entry* entry = table_.at_slot(slot);
    if (entry == nullptr) {
        return {};
    }
    if (kind == source::memory) {
        end_out_of_memory(*entry);
        return {};
    }
    return kind == source::status ? read_status(*entry) : reap(*entry);
}

result<> daemon::check_timers() {
    if (starting_ + draining_ == 0) {
        return {};
    }
    const steady_time now = steady_clock::now();
    result<> outcome;
    table_.for_each([&](sandbox_entry& entry) {
        if (!outcome) {
            return;
        }
        if (entry.state == sandbox_state::draining) {
            outcome = drain(entry);
        } else if (entry.state == sandbox_state::starting && !entry.missed_start_deadline &&
                   now - entry.requested_at > start_time_max) {
            entry.missed_start_deadline = true;
            kill(entry);
        }
    });
    return outcome;
}

result<> daemon::read_status(sandbox_entry& entry) {
    while (entry.process.status) {
        std::array<std::byte, sizeof(status_record)> bytes;
        const ssize_t got = ::read(entry.process.status.get(), bytes.data(), bytes.size());
        if (got > 0) {
            const auto record =
                decode_status(std::span(bytes).first(static_cast<std::size_t>(got)));
            if (!record) {
                // Whoever writes this is not what was started.
                log::error("a sandbox's status is no record", {{"sandbox", entry.id}});
                entry.process.status.reset();
                kill(entry);
                return {};
            }
            if (auto ok = handle_record(entry, *record); !ok) {
                return ok;
            }
            continue;
        }
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return {};
        }
        // The end of the pipe. The pidfd tells the rest.
        unwatch(entry.process.status);
    }
    return {};
}

result<> daemon::handle_record(sandbox_entry& entry, const status_record& record) {
    switch (record.kind) {
        case status_kind::failed:
            if (!entry.failure) {
                entry.failure = record;
            }
            return {};
        case status_kind::ended:
            entry.wait_status = record.value;
            return {};
        case status_kind::shell:
            entry.made = record.reached;
            if (entry.id == 0) {
                return keep_shell(entry);
            }
            fork_python(entry, false);
            return {};
        case status_kind::sealed:
            break;
    }
    if (entry.was_sealed || entry.failure) {
        return {};
    }
    entry.was_sealed = true;
    (entry.way == start_way::zygote ? entry.joined : entry.made) = record.reached;
    if (entry.way == start_way::zygote) {
        spawner_.zygotes().note_fork(entry.process.zygote, true);
    }
    if (entry.state != sandbox_state::starting || (entry.id == 0 && entry.evicted)) {
        return {};  // it ended already, or is about to
    }
    --starting_;
    if (entry.id == 0) {
        return park(entry);
    }
    return report_created(entry, entry.way);
}

// Init's pidfd is readable: it has ended, and the kernel has ended everything in its pid namespace.
result<> daemon::reap(sandbox_entry& entry) {
    if (entry.state == sandbox_state::draining) {
        return {};
    }
    ::waitpid(entry.process.init, nullptr, 0);
    if (auto ok = read_status(entry); !ok) {
        return ok;
    }
    if (entry.state == sandbox_state::starting) {
        --starting_;
        making_ahead_ = making_ahead_ && entry.id != 0;
    }
    std::erase(parked_slots_, entry.slot);
    std::erase(shell_slots_, entry.slot);
    entry.state = sandbox_state::draining;
    unwatch(entry.process.init_pidfd);
    unwatch(entry.process.status);
    ++draining_;
    return drain(entry);
}

result<> daemon::drain(sandbox_entry& entry) {
    const cgroup_usage used = entry.process.group.usage();
    if (auto removed = entry.process.group.remove(); !removed) {
        if (removed.error().code != errc::conflict) {
            return removed;
        }
        // Processes that are still exiting hold the cgroup for a moment.
        entry.process.group.kill();
        return {};
    }
    --draining_;
    unwatch(entry.memory_event);
    if (entry.way == start_way::zygote && !entry.was_sealed && entry.failure) {
        spawner_.zygotes().note_fork(entry.process.zygote, false);
    }
    spawner_.zygotes().note_end(entry.process.zygote);
    if (socket_open_ && deserves_another_try(entry)) {
        waiting_.push_back({entry.wanted, std::move(entry.code), entry.requested_at, true});
        table_.erase(entry.slot);
        return {};
    }
    if (entry.id == 0) {
        note_pooled_end(entry);
        table_.erase(entry.slot);
        return {};
    }
    auto reported = report_end(entry, used);
    table_.erase(entry.slot);
    return reported;
}

result<> daemon::report_end(const sandbox_entry& entry, const cgroup_usage& used) {
    if (!entry.was_created) {
        if (entry.failure) {
            return report_failure(entry.id, text_of(entry.failure->stage),
                                  fail_errno("the step failed", entry.failure->value).error());
        }
        if (entry.missed_start_deadline) {
            return report_failure(entry.id, "start deadline",
                                  {errc::deadline_exceeded, "it was not ready in time", ETIMEDOUT});
        }
        return report_failure(entry.id, "killed",
                              {errc::cancelled, "it ended before Python started", ECANCELED});
    }
    exited_packet exited;
    exited.header.sandbox_id = entry.id;
    // Without a report of init it was killed together with everything else.
    const int status = entry.wait_status.value_or(SIGKILL);
    exited.kind = WIFSIGNALED(status) ? exit_kind::signal : exit_kind::code;
    exited.value = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    // Sandboxd's own kill may have come before the kernel's, which then counts none.
    exited.oom_kills = entry.out_of_memory ? std::max(used.oom_kills, 1U) : used.oom_kills;
    exited.killed_on_request = entry.killed_on_request ? 1 : 0;
    exited.memory_peak_bytes = used.memory_peak_bytes;
    exited.cpu_usec = used.cpu_usec;
    exited.pids_refused = used.pids_refused;
    return outbox_.send(bytes_of(exited));
}

// Only the first event counts; the removal of a v1 cgroup signals its eventfds once more.
void daemon::end_out_of_memory(sandbox_entry& entry) {
    unwatch(entry.memory_event);
    if (entry.state != sandbox_state::draining) {
        entry.out_of_memory = true;
        kill(entry);
    }
}

void daemon::kill(sandbox_entry& entry) {
    entry.process.group.kill();
    if (entry.process.init_pidfd) {
        kernel::pidfd_send_signal(entry.process.init_pidfd.get(), SIGKILL);
    }
}

void daemon::shut_down() {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket_, nullptr);
    socket_open_ = false;
    waiting_.clear();
    table_.for_each([this](sandbox_entry& entry) { kill(entry); });
    const deadline until = after(shut_down_time_max);
    while (table_.size() > 0 && steady_clock::now() < until) {
        // What cannot be told any more is dropped; the sandboxes go on ending.
        if (auto ok = wait_and_dispatch(); !ok && ok.error().code != errc::closed) {
            log::error("shutting down", {{"error", ok.error().message}});
        }
    }
    if (table_.size() > 0) {
        log::error("sandboxes that do not end are left behind",
                   {{"count", static_cast<std::int64_t>(table_.size())}});
    }
    spawner_.zygotes().shut_down();
    if (auto removed = spawner_.cgroups().remove(); !removed) {
        log::error("cgroups are left behind", {{"error", removed.error().message}});
    }
}

}  // namespace hearth::sandbox
