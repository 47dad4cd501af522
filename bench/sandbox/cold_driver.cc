// Cold starts in figures, for bench/cold: bubblewrap's and Hearth's in turns, in one run. Prints
// one JSON object. All that it waits for is an event, but for sandboxes to be idle.

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/concat.h"
#include "sandbox/client.h"
#include "sandbox/frame.h"

namespace {

using namespace hearth;
using namespace hearth::sandbox;
namespace fs = std::filesystem;

constexpr seconds patience{60};
constexpr int at_once = 16;
constexpr int functions = 200;
constexpr int idle_ones = 20;

[[noreturn]] void stop(const std::string& why) {
    std::fprintf(stderr, "hearth-bench-cold: %s\n", why.c_str());
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

const std::vector<std::string> bubblewrap{
    "/usr/bin/bwrap", "--unshare-all", "--ro-bind",        "/usr",      "/usr",   "--symlink",
    "usr/lib",        "/lib",          "--symlink",        "usr/lib64", "/lib64", "--symlink",
    "usr/bin",        "/bin",          "--proc",           "/proc",     "--dev",  "/dev",
    "--tmpfs",        "/tmp",          "/usr/bin/python3", "-c",        "pass"};

double run_bubblewrap() {
    const steady_time start = steady_clock::now();
    const pid_t process = spawn(bubblewrap);
    int status = 0;
    ::waitpid(process, &status, 0);
    if (status != 0) {
        stop("bwrap failed");
    }
    return milliseconds_since(start);
}

struct running {
    unique_fd stream;
    unique_fd output;
    pid_t init = -1;
    start_way way{};
};

// One hearth-sandboxd, spoken to as a worker does.
class host {
public:
    host(const std::string& name, const std::string& program, const std::string& runtime,
         std::uint32_t parked, bool zygote)
        : control_(launch(name, program, runtime, parked, zygote)) {
        while (zygote && !has_zygote_) {
            take(next());
        }
    }

    void await_parked(std::uint32_t count) {
        while (parked_ < count) {
            take(next());
        }
    }

    std::uint64_t request(int code) {
        create_packet wanted;
        wanted.header.sandbox_id = ++last_id_;
        if (!control_.create(wanted, code)) {
            stop("a create was refused");
        }
        return last_id_;
    }

    // Waits for one more created sandbox, or for `id`.
    running& await_created(std::uint64_t id) {
        while (!live_.contains(id)) {
            take(next());
        }
        return live_[id];
    }
    void end(std::uint64_t id) {
        live_.erase(id);
        while (!std::erase(ended_, id)) {
            take(next());
        }
    }
    void take_pending() {
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
    std::map<std::uint64_t, running>& live() { return live_; }
    std::vector<std::uint64_t>& ended() { return ended_; }
    client& control() { return control_; }

private:
    static client launch(const std::string& name, const std::string& program,
                         const std::string& runtime, std::uint32_t parked, bool zygote) {
        auto made = client::launch({.program = program,
                                    .instance = concat("bench-", ::getpid(), "-", name),
                                    .runtime_dir = runtime,
                                    .parked = parked,
                                    .zygote = zygote},
                                   after(patience));
        if (!made) {
            stop(made.error().message);
        }
        return std::move(*made);
    }

    received_event next() {
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

    void take(received_event got) {
        if (const auto* pool = std::get_if<pool_packet>(&got.what)) {
            parked_ = pool->parked;
            has_zygote_ = pool->zygote == 1;
        } else if (const auto* created = std::get_if<created_packet>(&got.what)) {
            live_[created->header.sandbox_id] = {.stream = std::move(got.control_stream),
                                                 .output = std::move(got.output),
                                                 .init = created->init_pid,
                                                 .way = created->way};
            parked_ -= created->way == start_way::parked ? 1 : 0;
        } else if (const auto* exited = std::get_if<exited_packet>(&got.what)) {
            ended_.push_back(exited->header.sandbox_id);
        } else if (const auto* failed = std::get_if<create_failed_packet>(&got.what)) {
            stop(concat("not created: ", text_of(failed->stage), ": ", text_of(failed->text)));
        }
    }

    client control_;
    std::uint64_t last_id_ = 0;
    std::uint32_t parked_ = 0;
    bool has_zygote_ = false;
    std::map<std::uint64_t, running> live_;
    std::vector<std::uint64_t> ended_;
};

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

void await_answer(const running& from) {
    std::array<std::byte, 4096> bytes{};
    const ssize_t got = ::recv(from.stream.get(), bytes.data(), bytes.size(), 0);
    const auto header = got < static_cast<ssize_t>(frame_header_size)
                            ? fail(errc::closed, "the sandbox ended")
                            : decode_answer_header(bytes);
    if (!header || header->type == frame_type::init_error || header->type == frame_type::error) {
        stop("a sandbox did not answer well");
    }
}

void invoke(const running& to) {
    const auto head = encode_invoke_head(1, wall_clock_ms() + 10'000, "request", 2);
    const std::string frame = concat(*head, "{}");
    if (::send(to.stream.get(), frame.data(), frame.size(), MSG_NOSIGNAL) < 0) {
        stop("an invocation could not be sent");
    }
    await_answer(to);
}

// From the request to the function's code being imported: the answer to init.
double run_sandbox(host& in, int code, start_way expected) {
    const steady_time start = steady_clock::now();
    const std::uint64_t id = in.request(code);
    const running& made = in.await_created(id);
    send_init(made);
    await_answer(made);
    const double elapsed = milliseconds_since(start);
    if (made.way != expected) {
        stop("a sandbox was made in another way than it was to be");
    }
    in.end(id);
    return elapsed;
}

std::string percentiles(std::vector<double> values) {
    std::ranges::sort(values);
    const auto at = [&](double part) {
        return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
    };
    char text[96];
    std::snprintf(text, sizeof text, R"({"p50": %.3f, "p90": %.3f, "p99": %.3f})", at(0.5), at(0.9),
                  at(0.99));
    return text;
}

double bubblewraps_per_second() {
    const steady_time start = steady_clock::now();
    int started = 0;
    int ended = 0;
    while (ended < functions) {
        while (started < functions && started - ended < at_once) {
            spawn(bubblewrap);
            ++started;
        }
        ::waitpid(-1, nullptr, 0);
        ++ended;
    }
    return functions * 1000 / milliseconds_since(start);
}

// Each function is called for the first time: made, imported, ended. At most `at_once` at a time
// are on their way to their answer.
double sandboxes_per_second(host& in, int code) {
    const steady_time start = steady_clock::now();
    std::deque<std::uint64_t> asked;
    int started = 0;
    int answered = 0;
    std::map<std::uint64_t, bool> waiting;  // init was sent, the answer is to come
    while (answered < functions) {
        while (started < functions && started - answered < at_once) {
            in.request(code);
            ++started;
        }
        std::vector<pollfd> sources{{.fd = in.control().descriptor(), .events = POLLIN}};
        std::vector<std::uint64_t> ids;
        for (const auto& [id, made] : in.live()) {
            if (!waiting[id]) {
                send_init(made);
                waiting[id] = true;
            }
            sources.push_back({.fd = made.stream.get(), .events = POLLIN});
            ids.push_back(id);
        }
        ::poll(sources.data(), sources.size(), -1);
        for (std::size_t i = 0; i < ids.size(); ++i) {
            if (sources[i + 1].revents != 0) {
                await_answer(in.live()[ids[i]]);
                in.live().erase(ids[i]);
                ++answered;
            }
        }
        in.take_pending();
    }
    const double rate = functions * 1000 / milliseconds_since(start);
    while (in.ended().size() < static_cast<std::size_t>(functions)) {
        pollfd one{.fd = in.control().descriptor(), .events = POLLIN, .revents = 0};
        ::poll(&one, 1, -1);
        in.take_pending();
    }
    in.ended().clear();
    return rate;
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

// All that descends from `process`, and itself.
std::uint64_t tree_pss_kb(pid_t process) {
    std::uint64_t sum = pss_kb(process);
    std::ifstream list(concat("/proc/", process, "/task/", process, "/children"));
    for (pid_t child = 0; list >> child;) {
        sum += tree_pss_kb(child);
    }
    return sum;
}

double idle_sandbox_kb(host& in, int code) {
    const auto add = [&](int count) {
        for (int i = 0; i < count; ++i) {
            const running& made = in.await_created(in.request(code));
            send_init(made);
            await_answer(made);
            invoke(made);
        }
        // Idle ones give memory back after a second.
        std::this_thread::sleep_for(seconds(2));
        return tree_pss_kb(in.control().process());
    };
    const std::uint64_t few = add(idle_ones);
    const std::uint64_t many = add(idle_ones);
    return static_cast<double>(many - few) / idle_ones;
}

double idle_python_kb() {
    std::vector<pid_t> processes;
    std::vector<unique_fd> ready;
    const auto add = [&](int count) {
        for (int i = 0; i < count; ++i) {
            std::array<int, 2> ends{};
            if (::pipe(ends.data()) != 0) {
                stop("no pipe");
            }
            const unique_fd read(ends[0]);
            processes.push_back(spawn(
                {"/usr/bin/python3", "-c",
                 concat("import os, time\nos.write(", ends[1], ", b'x')\ntime.sleep(1000)")}));
            ::close(ends[1]);
            char byte = 0;
            if (::read(read.get(), &byte, 1) != 1) {
                stop("python3 did not start");
            }
        }
        std::uint64_t sum = 0;
        for (const pid_t each : processes) {
            sum += pss_kb(each);
        }
        return sum;
    };
    const std::uint64_t few = add(idle_ones);
    const std::uint64_t many = add(idle_ones);
    for (const pid_t each : processes) {
        ::kill(each, SIGKILL);
        ::waitpid(each, nullptr, 0);
    }
    return static_cast<double>(many - few) / idle_ones;
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 4) {
        stop("usage: hearth-bench-cold SANDBOXD RUNTIME_DIR ROUNDS");
    }
    const std::string program = arguments[1];
    const std::string runtime = arguments[2];
    const int rounds = std::max(std::atoi(arguments[3]), 1);
    std::string directory = (fs::temp_directory_path() / "hearth-bench-XXXXXX").string();
    if (::mkdtemp(directory.data()) == nullptr) {
        stop("no temporary directory");
    }
    fs::permissions(directory, fs::perms(0755));
    std::ofstream(directory + "/main.py") << "def handler(event, context):\n    return 'hello'\n";
    const unique_fd code(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));

    std::vector<double> wrapped;
    std::vector<double> parked;
    std::vector<double> forked;
    std::vector<double> executed;
    {
        host with_parked("parked", program, runtime, 4, true);
        host without_parked("zygote", program, runtime, 0, true);
        host without_zygote("program", program, runtime, 0, false);
        for (int round = -10; round < rounds; ++round) {
            with_parked.await_parked(4);
            const double one = run_bubblewrap();
            const double two = run_sandbox(with_parked, code.get(), start_way::parked);
            with_parked.await_parked(4);
            const double three = run_sandbox(without_parked, code.get(), start_way::zygote);
            const double four = run_sandbox(without_zygote, code.get(), start_way::program);
            if (round >= 0) {  // the first ones warm the caches
                wrapped.push_back(one);
                parked.push_back(two);
                forked.push_back(three);
                executed.push_back(four);
            }
        }
    }
    std::vector<double> wraps_rate;
    std::vector<double> sandboxes_rate;
    for (int round = 0; round < 3; ++round) {
        wraps_rate.push_back(bubblewraps_per_second());
        host usual(concat("rate", round), program, runtime, 4, true);
        usual.await_parked(4);
        sandboxes_rate.push_back(sandboxes_per_second(usual, code.get()));
    }
    std::ranges::sort(wraps_rate);
    std::ranges::sort(sandboxes_rate);
    double idle_kb = 0;
    {
        host usual("idle", program, runtime, 0, true);
        idle_kb = idle_sandbox_kb(usual, code.get());
    }
    const double python_kb = idle_python_kb();
    fs::remove_all(directory);
    std::printf(
        "{\"rounds\": %d, \"bwrap_ms\": %s, \"parked_ms\": %s, \"zygote_ms\": %s, "
        "\"program_ms\": %s, \"bwrap_per_second\": %.1f, \"sandboxes_per_second\": %.1f, "
        "\"idle_sandbox_kb\": %.0f, \"idle_python_kb\": %.0f}\n",
        rounds, percentiles(wrapped).c_str(), percentiles(parked).c_str(),
        percentiles(forked).c_str(), percentiles(executed).c_str(), wraps_rate[1],
        sandboxes_rate[1], idle_kb, python_kb);
    return 0;
}
