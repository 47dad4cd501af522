#include <algorithm>

#include <sys/epoll.h>
#include <sys/stat.h>

#include "base/concat.h"
#include "base/log.h"
#include "sandbox/daemon.h"

// What a worker asks for, and the answers to it.

namespace hearth::sandbox {
namespace {

constexpr int requests_per_turn = 16;  // so that sandboxes are served between requests
// Making sandboxes ahead takes processor time from functions that were just started.
constexpr milliseconds quiet_before_refill{20};

// A worker sends a directory; anything else could mislead.
bool is_as_promised(const received_packet& packet) {
    struct stat code{};
    return ::fstat(packet.descriptors[0].get(), &code) == 0 && S_ISDIR(code.st_mode);
}

std::uint32_t microseconds_since(steady_time start) {
    return static_cast<std::uint32_t>(
        std::chrono::duration_cast<microseconds>(steady_clock::now() - start).count());
}

std::int64_t nanoseconds_of(steady_time when) {
    return std::chrono::duration_cast<nanoseconds>(when.time_since_epoch()).count();
}

}  // namespace

result<> daemon::handle_socket() {
    if (auto ok = outbox_.flush(); !ok) {
        return ok;
    }
    for (int i = 0; i < requests_per_turn && outbox_.empty(); ++i) {
        received_packet packet;
        auto state = receive_packet(socket_, packet);
        if (!state) {
            return propagate(state);
        }
        if (*state == receive_state::closed) {
            socket_open_ = false;
            return {};
        }
        if (*state == receive_state::empty) {
            break;
        }
        if (auto ok = handle_request(packet); !ok) {
            return ok;
        }
    }
    return {};
}

result<> daemon::handle_request(received_packet& packet) {
    auto wanted = decode_request(packet.view(), packet.descriptor_count);
    if (!wanted) {
        return propagate(wanted);
    }
    if (const auto* create = std::get_if<create_packet>(&*wanted)) {
        return handle_create(*create, packet);
    }
    const std::uint64_t id = std::get<kill_packet>(*wanted).header.sandbox_id;
    if (sandbox_entry* entry = table_.find(id); entry != nullptr) {
        entry->killed_on_request = true;
        kill(*entry);
    } else if (std::erase_if(waiting_, [id](const waiting_create& each) {
                   return each.wanted.header.sandbox_id == id;
               }) > 0) {
        return report_failure(id, "killed",
                              {errc::cancelled, "it was killed before it started", ECANCELED});
    }
    return {};
}

result<> daemon::handle_create(const create_packet& wanted, received_packet& packet) {
    const steady_time requested_at = steady_clock::now();
    const std::uint64_t id = wanted.header.sandbox_id;
    if (!is_as_promised(packet)) {
        return fail(errc::protocol, "a create request without a code directory");
    }
    if (table_.contains(id) || std::ranges::any_of(waiting_, [id](const waiting_create& each) {
            return each.wanted.header.sandbox_id == id;
        })) {
        return fail(errc::protocol, concat("a create request for the live sandbox ", id));
    }
    refill_at_ = std::max(refill_at_, requested_at + quiet_before_refill);
    unique_fd code = std::move(packet.descriptors[0]);
    const bool fits = fits_parked(wanted);
    zygote_supply& zygotes = spawner_.zygotes();
    if (fits && !parked_slots_.empty() && !zygotes.has_own(wanted.family, wanted.function)) {
        sandbox_entry& longest = *table_.at_slot(parked_slots_.front());
        return use_parked(longest, wanted, code.get(), requested_at);
    }
    if (fits && !shell_slots_.empty()) {
        if (const auto zygote = zygotes.take(wanted.family, wanted.function); zygote != 0) {
            sandbox_entry& oldest = *table_.at_slot(shell_slots_.front());
            return use_shell(oldest, {wanted, std::move(code), requested_at}, zygote);
        }
    }
    if (!table_.has_free_slot()) {
        if (!evict_one()) {
            return report_failure(id, "slots",
                                  {errc::limit_exceeded, "every slot is in use", EAGAIN});
        }
        waiting_.push_back({wanted, std::move(code), requested_at});
        return {};
    }
    return start({wanted, std::move(code), requested_at});
}

// Slots that are given up by evicted sandboxes.
result<> daemon::serve_waiting() {
    while (!waiting_.empty() && table_.has_free_slot()) {
        waiting_create next = std::move(waiting_.front());
        waiting_.pop_front();
        if (auto ok = start(std::move(next)); !ok) {
            return ok;
        }
    }
    return {};
}

result<> daemon::start(waiting_create request) {
    const std::uint64_t id = request.wanted.header.sandbox_id;
    const std::uint32_t slot = *table_.take_slot();
    zygote_supply& zygotes = spawner_.zygotes();
    const std::uint64_t zygote =
        request.without_zygote ? 0 : zygotes.take(request.wanted.family, request.wanted.function);
    const start_way way = zygote != 0 ? start_way::zygote : start_way::program;
    const steady_time began_at = steady_clock::now();
    auto started = spawner_.start(request.wanted, slot, request.code.get(), way);
    if (!started) {
        zygotes.note_end(zygote);
        table_.give_back_slot(slot);
        return report_failure(id, started.error().stage, started.error().cause);
    }
    started->zygote = zygote;
    ++starting_;
    return watch_sandbox(table_.insert({.id = id,
                                        .slot = slot,
                                        .way = way,
                                        .process = std::move(*started),
                                        .requested_at = request.requested_at,
                                        .wanted = request.wanted,
                                        .code = std::move(request.code),
                                        .began_at = began_at}));
}

// Init says that all is in place but Python.
void daemon::fork_python(sandbox_entry& entry, bool to_be_parked) {
    entry.forked_at = steady_clock::now();
    if (auto asked = spawner_.fork_python(entry.process, to_be_parked); !asked) {
        fail_start(entry, asked.error());
    }
}

// The sandbox's end is reported as the request's failure.
void daemon::fail_start(sandbox_entry& entry, const spawn_failure& why) {
    entry.failure = status_record{.kind = status_kind::failed, .value = why.cause.os_error};
    set_text(entry.failure->stage, why.stage);
    kill(entry);
}

// What failed may be the zygote; executing Python needs none.
bool daemon::deserves_another_try(const sandbox_entry& entry) {
    return entry.way == start_way::zygote && !entry.was_sealed && entry.code &&
           !entry.killed_on_request && !entry.missed_start_deadline;
}

result<> daemon::watch_sandbox(sandbox_entry& entry) {
    auto memory_event = entry.process.group.watch_out_of_memory();
    if (!memory_event) {
        // Without it only the offender dies, and the end still tells of it.
        log::warning("out-of-memory events cannot be watched",
                     {{"error", memory_event.error().message}});
    } else if (*memory_event) {
        entry.memory_event = std::move(*memory_event);
        if (auto ok = watch(entry.memory_event.get(), source::memory, entry.slot, EPOLLIN); !ok) {
            return ok;
        }
    }
    if (auto ok = watch(entry.process.status.get(), source::status, entry.slot, EPOLLIN); !ok) {
        return ok;
    }
    return watch(entry.process.init_pidfd.get(), source::process, entry.slot, EPOLLIN);
}

result<> daemon::use_parked(sandbox_entry& entry, const create_packet& wanted, int code,
                            steady_time requested_at) {
    std::erase(parked_slots_, entry.slot);
    table_.assign(entry, wanted.header.sandbox_id);
    entry.requested_at = requested_at;
    auto specialised = spawner_.specialise(entry.process, wanted, code);
    entry.process.mount_namespace.reset();
    if (!specialised) {
        entry.state = sandbox_state::running;
        fail_start(entry, specialised.error());
        return {};
    }
    return report_created(entry, start_way::parked);
}

// The zygote forks while limits and code are put in place here. Python does nothing before its init
// frame, which comes after `created`, which is sent once this is done and Python is sealed.
result<> daemon::use_shell(sandbox_entry& entry, waiting_create request, std::uint64_t zygote) {
    std::erase(shell_slots_, entry.slot);
    table_.assign(entry, request.wanted.header.sandbox_id);
    entry.state = sandbox_state::starting;
    ++starting_;
    entry.process.zygote = zygote;
    entry.requested_at = request.requested_at;
    entry.wanted = request.wanted;
    entry.code = std::move(request.code);
    fork_python(entry, false);
    if (entry.failure) {
        return {};
    }
    auto specialised = spawner_.specialise(entry.process, entry.wanted, entry.code.get());
    entry.process.mount_namespace.reset();
    if (!specialised) {
        fail_start(entry, specialised.error());
    }
    return {};
}

// The stages of a parked one lie before its request.
void daemon::log_stages(const sandbox_entry& entry, start_way way) {
    constexpr std::int64_t per_usec = 1'000;
    const auto& [born, mounted, sealed] = entry.made;
    const auto& [forked, joined, joined_sealed] = entry.joined;
    log::info("start", {{"way", static_cast<std::int64_t>(way)},
                        {"bornUsec", (born - nanoseconds_of(entry.began_at)) / per_usec},
                        {"mountsUsec", (mounted - born) / per_usec},
                        {"sealUsec", (sealed - mounted) / per_usec},
                        {"forkUsec",
                         forked == 0 ? 0 : (forked - nanoseconds_of(entry.forked_at)) / per_usec},
                        {"joinUsec", (joined - forked) / per_usec},
                        {"joinSealUsec", (joined_sealed - joined) / per_usec},
                        {"totalUsec", std::int64_t{microseconds_since(entry.requested_at)}}});
}

result<> daemon::report_created(sandbox_entry& entry, start_way way) {
    if (trace_) {
        log_stages(entry, way);
    }
    entry.state = sandbox_state::running;
    if (way != start_way::parked) {
        auto shown = entry.process.group.open_gauges();
        if (!shown) {
            fail_start(entry, {.stage = "gauges", .cause = shown.error()});
            return {};
        }
        entry.shown = std::move(*shown);
    }
    entry.was_created = true;
    entry.code.reset();
    created_packet created;
    created.header.sandbox_id = entry.id;
    created.init_pid = entry.process.init;
    created.way = way;
    created.gauges = entry.shown.present();
    created.setup_usec = microseconds_since(entry.requested_at);
    outbox::carried descriptors{std::move(entry.process.control_stream),
                                std::move(entry.process.output)};
    std::size_t next = created_descriptors_min;
    for (std::uint8_t i = 0; i < gauge_count; ++i) {
        if (unique_fd& each = entry.shown[gauge{i}]) {
            descriptors[next++] = std::move(each);
        }
    }
    return outbox_.send(bytes_of(created), std::move(descriptors));
}

result<> daemon::report_failure(std::uint64_t id, std::string_view stage, const error& cause) {
    create_failed_packet failed;
    failed.header.sandbox_id = id;
    failed.os_error = cause.os_error;
    set_text(failed.stage, stage);
    set_text(failed.text, cause.message);
    log::warning(
        "a sandbox was not made",
        {{"sandbox", id}, {"stage", stage}, {"errno", cause.os_error}, {"error", cause.message}});
    return outbox_.send(bytes_of(failed));
}

}  // namespace hearth::sandbox
