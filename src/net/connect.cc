#include "net/connect.h"

#include <algorithm>
#include <utility>

#include "base/concat.h"
#include "coro/scope.h"
#include "coro/wait_list.h"
#include "net/resolve.h"
#include "net/socket_stream.h"

namespace hearth::net {
namespace {

bool is_ipv6(const std::string& address) {
    return address.starts_with('[');
}

// The families take turns, the system's first choice first (RFC 8305, section 4): two dead
// addresses of one family do not cost two head starts.
std::vector<std::string> interleaved(std::vector<std::string> addresses) {
    std::vector<std::string> preferred;
    std::vector<std::string> others;
    for (std::string& each : addresses) {
        const bool first = preferred.empty() || is_ipv6(each) == is_ipv6(preferred.front());
        (first ? preferred : others).push_back(std::move(each));
    }
    std::vector<std::string> out;
    out.reserve(addresses.size());
    for (std::size_t i = 0; i < std::max(preferred.size(), others.size()); ++i) {
        for (auto* family : {&preferred, &others}) {
            if (i < family->size()) {
                out.push_back(std::move((*family)[i]));
            }
        }
    }
    out.resize(std::min(out.size(), connect_addresses_max));
    return out;
}

struct race {
    explicit race(stop_source* parent) : attempts(parent) {}

    std::unique_ptr<stream> winner;
    std::size_t running = 0;
    std::string reasons;
    errc code = errc::unavailable;  // of the last that failed
    wait_list changed;
    scope attempts;
};

task<void> attempt(race& of, std::string address, deadline until) {
    auto link = co_await connect_stream(address, until);
    --of.running;
    if (!link) {
        of.code = link.error().code;
        of.reasons += concat(of.reasons.empty() ? "" : "; ", address, ": ", link.error().message);
    } else if (of.winner == nullptr) {
        of.winner = std::move(*link);
        of.attempts.request_stop();
    } else {
        co_await (*link)->close();
    }
    of.changed.notify_all();
}

// Until another attempt is to begin beside those that run.
task<void> give_head_start(race& of, deadline until) {
    while (of.winner == nullptr && of.running > 0) {
        if (!co_await of.changed.wait(until)) {
            co_return;
        }
    }
}

}  // namespace

task<result<std::unique_ptr<stream>>> connect_first(std::vector<std::string> addresses,
                                                    deadline until) {
    race of(co_await current_stop());
    for (std::string& each : interleaved(std::move(addresses))) {
        if (of.winner != nullptr || of.attempts.stop().requested() ||
            (of.running == 0 && steady_clock::now() >= until && !of.reasons.empty())) {
            break;
        }
        ++of.running;
        of.attempts.spawn(attempt(of, std::move(each), until));
        co_await give_head_start(of, std::min(until, after(connect_head_start)));
    }
    co_await of.attempts.join();
    if (of.winner != nullptr) {
        co_return std::move(of.winner);
    }
    if (of.attempts.stop().requested()) {
        co_return fail(errc::cancelled, "connecting was stopped");
    }
    co_return fail(of.code, of.reasons.empty() ? "there is no address" : std::move(of.reasons));
}

task<result<std::unique_ptr<stream>>> connect_host(thread_pool& lookups, std::string host,
                                                   std::uint16_t port, deadline until) {
    auto found = co_await resolve(lookups, std::move(host), port);
    if (!found) {
        co_return propagate(found);
    }
    co_return co_await connect_first(std::move(*found), until);
}

}  // namespace hearth::net
