#include "faas/confined_intake.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>

#include "base/concat.h"
#include "base/log.h"
#include "faas/archive/intake_protocol.h"
#include "faas/intake_process.h"
#include "uring/operation.h"

namespace hearth::faas {
namespace {

constexpr seconds probe_wait{20};

// "PK\5\6" and zeros: an archive of nothing, which every sound reader refuses.
unique_fd empty_archive() {
    unique_fd file(::memfd_create("probe", MFD_CLOEXEC));
    constexpr std::array<char, 22> end{'P', 'K', 5, 6};
    if (file && ::write(file.get(), end.data(), end.size()) != end.size()) {
        file.reset();
    }
    return file;
}

// Waits for the first report of a process that was just started; blocking.
result<result<archive_summary>> probe(const intake_process& process) {
    const unique_fd archive = empty_archive();
    // Refused before anything could be written.
    const unique_fd directory(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!archive || !directory) {
        return fail_errno("cannot make an archive to try hearth-unpack with");
    }
    if (auto sent =
            send_task(process.socket(), intake_work::unpack, archive.get(), directory.get());
        !sent) {
        return propagate(sent);
    }
    pollfd ready{.fd = process.socket(), .events = POLLIN, .revents = 0};
    const auto wait = std::chrono::duration_cast<milliseconds>(probe_wait).count();
    report_packet packet;
    if (::poll(&ready, 1, static_cast<int>(wait)) != 1) {
        return fail(errc::unavailable, "hearth-unpack did not answer when it was tried");
    }
    const ssize_t count = ::recv(process.socket(), packet.data(), packet.size(), 0);
    if (count <= 0) {
        return fail(errc::unavailable,
                    "hearth-unpack ended when it was tried: check that it is installed whole and "
                    "that its libraries are there");
    }
    return decode_report(std::span(packet).first(static_cast<std::size_t>(count)));
}

// Why a process ended without a report. What it was reading is the likely cause.
std::unexpected<error> explain(const intake_end& end) {
    if (end.signal == SIGXCPU) {
        return fail(errc::too_large,
                    "zip: takes too much processor time to read. Leave out what the function does "
                    "not need, or pack it anew");
    }
    return fail(errc::invalid_argument,
                "zip: cannot be read: its reader failed over it. Pack it anew, for example with "
                "zip -r or python3 -m zipfile -c");
}

}  // namespace

confined_intake::confined_intake(unique_fd program, thread_pool& blocking,
                                 confined_intake_options options)
    : program_(std::move(program)),
      blocking_(blocking),
      options_(options),
      permits_(options.at_once_max) {}

confined_intake::~confined_intake() = default;

result<unique_fd> confined_intake::open_program(const std::string& path) {
    return intake_process::open_program(path);
}

result<std::unique_ptr<confined_intake>> confined_intake::create(unique_fd program,
                                                                 thread_pool& blocking,
                                                                 confined_intake_options options) {
    std::unique_ptr<confined_intake> made(
        new confined_intake(std::move(program), blocking, options));
    auto first = intake_process::start(made->program_.get());
    if (!first) {
        return propagate(first);
    }
    auto answered = probe(*first);
    if (!answered) {
        return propagate(answered);
    }
    if (answered->has_value() || answered->error().code != errc::invalid_argument) {
        return fail(errc::unavailable, concat("hearth-unpack cannot work on this host: ",
                                              answered->has_value() ? "it takes an empty archive"
                                                                    : answered->error().message));
    }
    auto next = intake_process::start(made->program_.get());
    if (!next) {
        return propagate(next);
    }
    made->next_.emplace(std::move(*next));
    made->counts_.started = 2;
    return made;
}

task<result<archive_summary>> confined_intake::check(int zip_file, deadline until) {
    return run(intake_work::check, zip_file, -1, until);
}

task<result<archive_summary>> confined_intake::unpack(int zip_file, int directory, deadline until) {
    return run(intake_work::unpack, zip_file, directory, until);
}

task<result<archive_summary>> confined_intake::run(intake_work work, int archive, int directory,
                                                   deadline until) {
    if (!permits_.try_acquire()) {
        if (waiting_ >= options_.waiting_max) {
            co_return fail(errc::limit_exceeded,
                           "too many archives wait to be read. Try again later");
        }
        ++waiting_;
        auto acquired = co_await permits_.acquire(until);
        --waiting_;
        if (!acquired) {
            co_return propagate(acquired);
        }
    }
    auto end = co_await run_permitted(work, archive, directory, until);
    permits_.release();
    co_return end;
}

task<result<archive_summary>> confined_intake::run_permitted(intake_work work, int archive,
                                                             int directory, deadline until) {
    auto process = co_await take_process();
    if (!process) {
        co_return propagate(process);
    }
    auto sent = send_task(process->socket(), work, archive, directory);
    if (!sent && sent.error().code == errc::closed) {
        // The one that waited was killed meanwhile, by the host's memory killer for example.
        process = co_await take_process();
        if (!process) {
            co_return propagate(process);
        }
        sent = send_task(process->socket(), work, archive, directory);
    }
    if (!sent) {
        co_return propagate(sent);
    }
    background_.spawn(prepare_next());
    co_return co_await report_of(std::move(*process), work, until);
}

// The one that waits, else a new one.
task<result<intake_process>> confined_intake::take_process() {
    if (next_) {
        intake_process taken = std::move(*next_);
        next_.reset();
        co_return taken;
    }
    co_return co_await start_process();
}

task<result<intake_process>> confined_intake::start_process() {
    ++counts_.started;
    auto started = co_await blocking_.run([this] { return intake_process::start(program_.get()); });
    if (!started) {
        co_return propagate(started);
    }
    co_return std::move(*started);
}

// While one works, so that nobody waits for it.
task<void> confined_intake::prepare_next() {
    if (next_ || preparing_) {
        co_return;
    }
    preparing_ = true;
    auto started = co_await start_process();
    preparing_ = false;
    if (started) {
        next_.emplace(std::move(*started));
    } else {
        log::warning("no process waits for the next archive",
                     {{"reason", started.error().message}});
    }
}

// Killed before, so that it ends at once.
task<intake_end> confined_intake::end_of(intake_process& process) {
    const auto ended = co_await uring::poll_once(process.handle(), POLLIN, never);
    if (!ended) {
        // Stopped, which is no reason to leave it: a moment on another thread.
        auto waited = co_await blocking_.run([&] { return process.wait(); });
        co_return waited ? *waited : process.wait();
    }
    co_return process.wait();
}

task<void> confined_intake::reap(intake_process process) {
    [[maybe_unused]] const auto end = co_await end_of(process);
}

task<result<archive_summary>> confined_intake::report_of(intake_process process, intake_work work,
                                                         deadline until) {
    const deadline latest = after(options_.time_max);
    report_packet packet;
    auto received = co_await uring::receive(process.socket(), packet, std::min(until, latest));
    // Also after a report: it has said everything, and an archive that took it over would go on.
    process.kill();
    if (received && *received > 0) {
        auto report = decode_report(std::span(packet).first(*received));
        if (report) {
            // A folder is not handed on while anybody may still write to it; an answer may be.
            if (work == intake_work::check) {
                background_.spawn(reap(std::move(process)));
            } else {
                co_await end_of(process);
            }
            co_return std::move(*report);
        }
        received = propagate(report);
    }
    const intake_end end = co_await end_of(process);
    if (!received && received.error().code == errc::cancelled) {
        co_return propagate(received);
    }
    ++counts_.failed;
    log::warning("an archive was given up",
                 {{"signal", end.signal},
                  {"exitCode", end.code},
                  {"reason", received ? "its reader ended" : received.error().message}});
    if (!received && received.error().code == errc::deadline_exceeded) {
        if (latest > until) {
            co_return propagate(received);
        }
        co_return fail(errc::too_large,
                       concat("zip: takes longer than ", options_.time_max.count() / 1000,
                              " s to read. Leave out what the function does not need"));
    }
    co_return explain(end);
}

}  // namespace hearth::faas
