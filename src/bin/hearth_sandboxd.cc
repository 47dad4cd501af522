#include <span>
#include <string>
#include <vector>

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "sandbox/daemon.h"
#include "sandbox/host_ids.h"
#include "sandbox/packet_socket.h"

namespace {

using namespace hearth;

// Sandboxd ends with its worker's socket, not by signals meant for the worker's process group. A
// handler rather than SIG_IGN: clone3 resets handlers, while sandboxes would inherit what is
// ignored.
void outlive_signals() {
    struct sigaction action{};
    for (int signal = 1; signal < NSIG; ++signal) {
        action.sa_handler = SIG_DFL;
        ::sigaction(signal, &action, nullptr);
    }
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2}) {
        action.sa_handler = [](int) {
        };
        ::sigaction(signal, &action, nullptr);
    }
}

int refuse(int socket, const error& cause) {
    log::error("hearth-sandboxd cannot start", {{"error", cause.message}});
    sandbox::start_failed_packet failed;
    sandbox::set_text(failed.text, cause.message);
    [[maybe_unused]] const auto sent = sandbox::send_packet(socket, sandbox::bytes_of(failed));
    return 1;
}

// Started by an ordinary user: the same again, in a user namespace. Comes back only to tell why
// not.
error become_rootless(std::span<char*> arguments, const sandbox::daemon_options& options) {
    auto entered = sandbox::enter_user_namespace(options.slots);
    if (!entered) {
        return std::move(entered.error());
    }
    std::string name = "--host-ids";
    std::string source = *entered == sandbox::id_source::ranges ? "ranges" : "own";
    std::vector<char*> again(arguments.begin(), arguments.end());
    again.insert(again.end(), {name.data(), source.data(), nullptr});
    ::execve("/proc/self/exe", again.data(), environ);
    return fail_errno("executing hearth-sandboxd in its user namespace").error();
}

}  // namespace

int main(int count, char** arguments) {
    outlive_signals();
    constexpr mode_t private_writes = 022;
    ::umask(private_writes);
    auto options = sandbox::parse_daemon_options({arguments, static_cast<std::size_t>(count)});
    if (!options) {
        log::error(options.error().message);
        return 2;
    }
    if (::geteuid() != 0) {
        return refuse(options->socket,
                      become_rootless({arguments, static_cast<std::size_t>(count)}, *options));
    }
    auto ready = sandbox::spawner::prepare(*options);
    if (!ready) {
        return refuse(options->socket, ready.error());
    }
    auto running = sandbox::daemon::make(*options, std::move(*ready));
    if (!running) {
        return refuse(options->socket, running.error());
    }
    if (auto ended = running->run(); !ended) {
        log::error("hearth-sandboxd ends", {{"error", ended.error().message}});
        return 1;
    }
    return 0;
}
