// The bare pipe behind the same client, for bench/compare/pipe: an HTTP server of blocking threads,
// one for each connection, that makes of each POST one round trip to a bare python3, and times that
// by its own clock, as the worker times a call in the sandbox. It reads just enough of a request to
// find its end. One connection calls at a time.
//
// hearth-bench-relay PORT_FILE FIGURES_FILE: listens on a free loopback port and writes its number
// to the first file; when a connection that called has ended, its figures to the second.

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "bare_python.h"
#include "base/concat.h"
#include "bench_host.h"

namespace {

using namespace hearth;
using namespace hearth::bench;

unique_fd listen_on_loopback(const char* port_file) {
    unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* where = reinterpret_cast<sockaddr*>(&address);
    if (::bind(fd.get(), where, size) != 0 || ::listen(fd.get(), 16) != 0 ||
        ::getsockname(fd.get(), where, &size) != 0) {
        stop("cannot listen on loopback");
    }
    std::ofstream(port_file) << ntohs(address.sin_port) << '\n';
    return fd;
}

// A whole request is at the front of `bytes`: its size. hearth-bench writes the name in lower case.
std::size_t request_size(std::string_view bytes) {
    constexpr std::string_view end = "\r\n\r\n";
    constexpr std::string_view length = "content-length: ";
    const auto head = bytes.find(end);
    if (head == std::string_view::npos) {
        return 0;
    }
    const auto named = bytes.find(length);
    const std::size_t body =
        named < head ? std::strtoul(bytes.data() + named + length.size(), nullptr, 10) : 0;
    const std::size_t size = head + end.size() + body;
    return size <= bytes.size() ? size : 0;
}

// Microseconds that each round trip took.
std::vector<double> serve(const unique_fd& client, const bare_python& python) {
    constexpr double us_per_ms = 1e3;
    std::vector<double> took_us;
    std::string unread;
    std::array<char, 16'384> bytes;
    for (;;) {
        const ssize_t got = ::recv(client.get(), bytes.data(), bytes.size(), 0);
        if (got <= 0) {
            return took_us;
        }
        unread.append(bytes.data(), static_cast<std::size_t>(got));
        while (const std::size_t size = request_size(unread)) {
            const bool is_call = unread.starts_with("POST");
            unread.erase(0, size);
            if (!is_call) {
                constexpr std::string_view nothing =
                    "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
                ::send(client.get(), nothing.data(), nothing.size(), MSG_NOSIGNAL);
                continue;
            }
            const steady_time start = steady_clock::now();
            const std::string answer = python.call();
            took_us.push_back(milliseconds_since(start) * us_per_ms);
            const std::string response =
                concat("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ",
                       answer.size(), "\r\n\r\n", answer);
            ::send(client.get(), response.data(), response.size(), MSG_NOSIGNAL);
        }
    }
}

void write_figures(const char* file, std::vector<double> took_us) {
    std::ranges::sort(took_us);
    const double sum = std::accumulate(took_us.begin(), took_us.end(), 0.0);
    std::ofstream(file) << concat(R"({"calls": )", took_us.size(), R"(, "p50Us": )",
                                  std::to_string(took_us[took_us.size() / 2]), R"(, "meanUs": )",
                                  std::to_string(sum / static_cast<double>(took_us.size())), "}\n");
}

}  // namespace

int main(int count, char** values) {
    if (count != 3) {
        stop("usage: hearth-bench-relay PORT_FILE FIGURES_FILE");
    }
    const handler_folder code;
    const bare_python python(code);
    const unique_fd listening = listen_on_loopback(values[1]);
    for (;;) {
        unique_fd client(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
        const int on = 1;
        ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        std::thread([&python, file = values[2], connection = std::move(client)] {
            if (auto took_us = serve(connection, python); !took_us.empty()) {
                write_figures(file, std::move(took_us));
            }
        }).detach();
    }
}
