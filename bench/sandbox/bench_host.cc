#include "bench_host.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/concat.h"

namespace hearth::bench {

using namespace hearth::sandbox;

namespace {

constexpr seconds patience{60};

client launch(const launch_options& options) {
    auto made = client::launch(options, after(patience));
    if (!made) {
        stop(made.error().message);
    }
    return std::move(*made);
}

}  // namespace

void stop(const std::string& why) {
    std::fprintf(stderr, "bench: %s\n", why.c_str());
    std::exit(1);
}

double milliseconds_since(steady_time start) {
    return std::chrono::duration<double, std::milli>(steady_clock::now() - start).count();
}

pid_t spawn(const std::vector<std::string>& command) {
    std::vector<char*> arguments;
    for (const std::string& each : command) {
        arguments.push_back(const_cast<char*>(each.c_str()));
    }
    arguments.push_back(nullptr);
    pid_t process = -1;
    if (::posix_spawn(&process, arguments[0], nullptr, nullptr, arguments.data(), environ) != 0) {
        stop(concat("cannot run ", command[0], " (apt-get install bubblewrap)"));
    }
    return process;
}

const std::vector<std::string>& bubblewrap() {
    static const std::vector<std::string> command{
        "/usr/bin/bwrap", "--unshare-all", "--ro-bind",        "/usr",      "/usr",   "--symlink",
        "usr/lib",        "/lib",          "--symlink",        "usr/lib64", "/lib64", "--symlink",
        "usr/bin",        "/bin",          "--proc",           "/proc",     "--dev",  "/dev",
        "--tmpfs",        "/tmp",          "/usr/bin/python3", "-c",        "pass"};
    return command;
}

double run_bubblewrap() {
    const steady_time start = steady_clock::now();
    const pid_t process = spawn(bubblewrap());
    int status = 0;
    ::waitpid(process, &status, 0);
    if (status != 0) {
        stop("bwrap failed");
    }
    return milliseconds_since(start);
}

double processor_ms(pid_t process) {
    std::ifstream file(concat("/proc/", process, "/stat"));
    std::string text;
    std::getline(file, text, ')');  // its name may hold blanks
    constexpr int fields_before_times = 11;
    constexpr int times = 4;  // utime, stime, cutime, cstime; proc(5)
    for (int i = 0; i < fields_before_times; ++i) {
        file >> text;
    }
    double sum = 0;
    for (int i = 0; i < times; ++i) {
        double ticks = 0;
        file >> ticks;
        sum += ticks;
    }
    constexpr double ms_per_second = 1000;
    return sum * ms_per_second / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::uint64_t pss_kb(pid_t process) {
    std::ifstream rollup(concat("/proc/", process, "/smaps_rollup"));
    std::string word;
    std::uint64_t value = 0;
    while (rollup >> word && word != "Pss:") {
    }
    rollup >> value;
    return value;
}

std::uint64_t tree_pss_kb(pid_t process) {
    std::uint64_t sum = pss_kb(process);
    std::ifstream list(concat("/proc/", process, "/task/", process, "/children"));
    for (pid_t child = 0; list >> child;) {
        sum += tree_pss_kb(child);
    }
    return sum;
}

host::host(launch_options options) : control_(launch(options)) {
    while (options.zygote != zygote_mode::off && !has_zygote_) {
        take(next());
    }
}

void host::await_parked(std::uint32_t count) {
    while (parked_ < count) {
        take(next());
    }
}

void host::await_shells(std::uint32_t count) {
    while (shells_ < count) {
        take(next());
    }
}

void host::await_next_zygote() {
    has_zygote_ = false;
    while (!has_zygote_) {
        take(next());
    }
}

std::uint64_t host::request(int code) {
    create_packet wanted;
    wanted.header.sandbox_id = ++last_id_;
    wanted.function = function;
    if (!control_.create(wanted, code)) {
        stop("a create was refused");
    }
    return last_id_;
}

running& host::await_created(std::uint64_t id) {
    while (!live_.contains(id)) {
        take(next());
    }
    return live_[id];
}

void host::end(std::uint64_t id) {
    live_.erase(id);
    while (!std::erase(ended_, id)) {
        take(next());
    }
}

void host::take_pending() {
    for (;;) {
        auto got = control_.receive();
        if (!got) {
            stop(got.error().message);
        }
        if (!got->has_value()) {
            return;
        }
        take(std::move(**got));
    }
}

start_times host::run(int code, start_way expected) {
    const steady_time start = steady_clock::now();
    start_times took;
    const std::uint64_t id = request(code);
    const running& made = await_created(id);
    took.created = milliseconds_since(start);
    send_init(made);
    await_answer(made);
    took.ready = milliseconds_since(start);
    constexpr double per_ms = 1e6;
    const double first_line_ns = std::strtod(invoke(made).c_str(), nullptr);
    took.first_line = first_line_ns / per_ms -
                      std::chrono::duration<double, std::milli>(start.time_since_epoch()).count();
    if (made.way != expected) {
        stop("a sandbox was made in another way than it was to be");
    }
    end(id);
    return took;
}

double host::processor_ms() const {
    const pid_t daemon = control_.process();
    double sum = bench::processor_ms(daemon);
    // The zygote, and what has not ended yet.
    std::ifstream list(concat("/proc/", daemon, "/task/", daemon, "/children"));
    for (pid_t child = 0; list >> child;) {
        sum += bench::processor_ms(child);
    }
    return sum;
}

received_event host::next() {
    for (;;) {
        auto got = control_.receive();
        if (!got) {
            stop(got.error().message);
        }
        if (got->has_value()) {
            return std::move(**got);
        }
        pollfd one{.fd = control_.descriptor(), .events = POLLIN, .revents = 0};
        constexpr int patience_ms = 60'000;
        if (::poll(&one, 1, patience_ms) != 1) {
            stop("hearth-sandboxd does not answer");
        }
    }
}

void host::take(received_event got) {
    if (const auto* pool = std::get_if<pool_packet>(&got.what)) {
        parked_ = pool->parked;
        shells_ = pool->shells;
        has_zygote_ = pool->zygote == 1;
    } else if (const auto* created = std::get_if<created_packet>(&got.what)) {
        live_[created->header.sandbox_id] = {.stream = std::move(got.control_stream),
                                             .output = std::move(got.output),
                                             .init = created->init_pid,
                                             .way = created->way};
        parked_ -= created->way == start_way::parked ? 1 : 0;
        shells_ -= created->way == start_way::zygote && shells_ > 0 ? 1 : 0;
    } else if (const auto* exited = std::get_if<exited_packet>(&got.what)) {
        ended_.push_back(exited->header.sandbox_id);
    } else if (const auto* failed = std::get_if<create_failed_packet>(&got.what)) {
        stop(concat("not created: ", text_of(failed->stage), ": ", text_of(failed->text)));
    }
}

void send_init(const running& to) {
    static const auto frame = encode_init_frame(1, {.handlers = {"main.handler"},
                                                    .function_name = "hello",
                                                    .function_version = "1",
                                                    .function_arn = "arn:hearth:hello",
                                                    .log_group_name = "/hearth/hello",
                                                    .log_stream_name = "stream"});
    if (!frame || ::send(to.stream.get(), frame->data(), frame->size(), MSG_NOSIGNAL) < 0) {
        stop("an init frame could not be sent");
    }
}

std::string await_answer(const running& from) {
    std::array<std::byte, 4096> bytes{};
    const ssize_t got = ::recv(from.stream.get(), bytes.data(), bytes.size(), 0);
    const auto header = got < static_cast<ssize_t>(frame_header_size)
                            ? fail(errc::closed, "the sandbox ended")
                            : decode_answer_header(bytes);
    if (!header || header->type == frame_type::init_error || header->type == frame_type::error) {
        stop("a sandbox did not answer well");
    }
    return {reinterpret_cast<const char*>(bytes.data()) + frame_header_size,
            static_cast<std::size_t>(got) - frame_header_size};
}

std::string invoke(const running& to) {
    const auto head = encode_invoke_head(1, wall_clock_ms() + 10'000, "request", 2);
    const std::string frame = concat(*head, "{}");
    if (::send(to.stream.get(), frame.data(), frame.size(), MSG_NOSIGNAL) < 0) {
        stop("an invocation could not be sent");
    }
    return await_answer(to);
}

}  // namespace hearth::bench
