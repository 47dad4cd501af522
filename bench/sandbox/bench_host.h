#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <sys/types.h>

#include "sandbox/client.h"
#include "sandbox/frame.h"

// What the drivers of bench/sandbox measure with: a hearth-sandboxd spoken to as a worker does, and
// bubblewrap. Everything that they wait for is an event; what goes wrong ends the program.

namespace hearth::bench {

[[noreturn]] void stop(const std::string& why);
[[nodiscard]] double milliseconds_since(steady_time start);
[[nodiscard]] pid_t spawn(const std::vector<std::string>& command);

// The other side: bwrap … /usr/bin/python3 -c pass.
[[nodiscard]] const std::vector<std::string>& bubblewrap();
[[nodiscard]] double run_bubblewrap();  // milliseconds

// Kilobytes, each page shared out among those who have it: all that descends from `process`, and
// itself.
[[nodiscard]] std::uint64_t pss_kb(pid_t process);
[[nodiscard]] std::uint64_t tree_pss_kb(pid_t process);

// Processor time of a process and of what it has reaped, in milliseconds, from /proc/<pid>/stat.
[[nodiscard]] double processor_ms(pid_t process);

struct running {
    unique_fd stream;
    unique_fd output;
    pid_t init = -1;
    sandbox::start_way way{};
};

// Of one start, in milliseconds from the request.
struct start_times {
    double created = 0;
    double ready = 0;       // the handler is imported
    double first_line = 0;  // of the handler
};

class host {
public:
    // With a zygote it returns when that is ready.
    explicit host(sandbox::launch_options options);

    void await_parked(std::uint32_t count);
    void await_shells(std::uint32_t count);
    // Until one more could fork for a function that was never called.
    void await_next_zygote();
    // Of `function`.
    std::uint64_t request(int code);
    // Waits for one more created sandbox, or for `id`.
    running& await_created(std::uint64_t id);
    // Ends one and waits until nothing of it is left.
    void end(std::uint64_t id);
    void take_pending();

    // One sandbox from request to the first line of its function, and to its end.
    start_times run(int code, sandbox::start_way expected);

    // Of sandboxd, of its zygote and of every sandbox that has ended.
    [[nodiscard]] double processor_ms() const;

    std::map<std::uint64_t, running>& live() { return live_; }
    std::vector<std::uint64_t>& ended() { return ended_; }
    sandbox::client& control() { return control_; }

    sandbox::function_key function;  // whose sandboxes are made; matters to zygotes alone

private:
    sandbox::received_event next();
    void take(sandbox::received_event got);

    sandbox::client control_;
    std::uint64_t last_id_ = 0;
    std::uint32_t parked_ = 0;
    std::uint32_t shells_ = 0;
    bool has_zygote_ = false;
    std::map<std::uint64_t, running> live_;
    std::vector<std::uint64_t> ended_;
};

void send_init(const running& to);
// The payload of the answer to init or invoke; an error ends the program.
std::string await_answer(const running& from);
// What the handler returned, as JSON.
std::string invoke(const running& to);

}  // namespace hearth::bench
