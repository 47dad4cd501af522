#include <csignal>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "sandbox/packet_socket.h"
#include "sandbox/protocol.h"
#include "sandbox/zygote.h"

namespace {

using namespace hearth;

constexpr int socket_descriptor = 3;

// The program is executed by hearth-sandboxd, with its socket as descriptor 3.
bool is_started_by_sandboxd(int count) {
    return count == 4 && ::fcntl(socket_descriptor, F_SETFD, FD_CLOEXEC) == 0;
}

void greet(bool ready) {
    const sandbox::zygote_greeting greeting{.ready = ready ? 1U : 0U};
    [[maybe_unused]] const auto sent =
        sandbox::send_packet(socket_descriptor, sandbox::bytes_of(greeting));
}

}  // namespace

int main(int count, char** arguments) {
    // A sandbox may end at any moment, with its pipes.
    ::signal(SIGPIPE, SIG_IGN);
    if (!is_started_by_sandboxd(count)) {
        log::error("hearth-zygote is started by hearth-sandboxd, never by hand");
        return 2;
    }
    auto ready =
        sandbox::zygote::prepare(socket_descriptor, arguments[1], arguments[2], arguments[3]);
    greet(ready.has_value());
    if (!ready) {
        log::warning("the zygote cannot start", {{"error", ready.error().message}});
        return 1;
    }
    if (auto ended = ready->run(); !ended) {
        log::error("the zygote ends", {{"error", ended.error().message}});
        return 1;
    }
    return 0;
}
