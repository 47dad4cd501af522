#include <array>
#include <string>

#include <sys/socket.h>

#include "bench/micro/ring_fixture.h"
#include "coro/scope.h"
#include "net/socket_stream.h"

namespace hearth {
namespace {

task<> echo(net::stream& peer) {
    for (;;) {
        auto some = co_await peer.read(never);
        if (!some || some->empty()) {
            break;
        }
        std::ignore = co_await peer.write(some->text(), never);
    }
}

// There and back over a Unix socket pair, both ends in this loop: two writes and two reads.
task<> echo_round_trip(benchmark::State& state) {
    std::array<int, 2> fds{};
    HEARTH_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0,
                 "socketpair failed");
    net::socket_stream client(unique_fd(fds[0]), "client");
    net::socket_stream server(unique_fd(fds[1]), "server");
    net::stream& ours = client;
    const std::string text(static_cast<std::size_t>(state.range(0)), 'x');
    scope tasks;
    tasks.spawn(echo(server));
    for (auto _ : state) {
        std::ignore = co_await ours.write(text, never);
        for (std::size_t got = 0; got < text.size();) {
            auto some = co_await ours.read(never);
            got += some->size();
        }
    }
    co_await client.close();
    co_await tasks.join();
    co_await server.close();
    state.SetBytesProcessed(2 * state.iterations() * state.range(0));
}
void stream_echo(benchmark::State& state) {
    bench::on_ring(state, echo_round_trip);
}
BENCHMARK(stream_echo)->Arg(64)->Arg(64 << 10)->UseRealTime();

}  // namespace
}  // namespace hearth
