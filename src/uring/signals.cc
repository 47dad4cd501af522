#include "uring/signals.h"

#include <csignal>
#include <span>

#include <pthread.h>
#include <sys/signalfd.h>

#include "uring/operation.h"

namespace hearth::uring {

result<signal_watch> signal_watch::create(std::initializer_list<int> signals) {
    sigset_t set;
    sigemptyset(&set);
    for (const int each : signals) {
        sigaddset(&set, each);
    }
    if (const int status = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); status != 0) {
        return fail_errno("blocking signals", status);
    }
    // Blocking, because io_uring answers EAGAIN at once for a non-blocking descriptor.
    unique_fd fd(::signalfd(-1, &set, SFD_CLOEXEC));
    if (!fd) {
        return fail_errno("signalfd");
    }
    return signal_watch(std::move(fd));
}

task<result<int>> signal_watch::next(deadline until) {
    signalfd_siginfo info{};
    auto received =
        co_await read_some(fd_.get(), std::as_writable_bytes(std::span(&info, 1)), until);
    if (!received) {
        co_return propagate(received);
    }
    co_return static_cast<int>(info.ssi_signo);
}

}  // namespace hearth::uring
