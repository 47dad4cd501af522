// First calls of functions by POST /run, for bench/sandbox/report: each function is called once, a
// given number at a time, each caller on a kept connection. The functions answer the moment of
// their first line (time.monotonic_ns()), which is the same clock inside a sandbox as here. The
// function ids are read from standard input, one per line. Prints one JSON object; with no callers
// (0) each function is called as its line comes, and an object is printed for each.

#include <array>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/concat.h"
#include "base/unique_fd.h"

namespace {

using namespace hearth;

[[noreturn]] void stop(const std::string& why) {
    std::fprintf(stderr, "hearth-bench-run: %s\n", why.c_str());
    std::exit(1);
}

unique_fd connect_to(std::uint16_t port) {
    unique_fd made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    if (::setsockopt(made.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        ::connect(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        stop("the server does not accept");
    }
    return made;
}

std::uint64_t number_behind(std::string_view text, std::string_view key) {
    const std::size_t at = text.find(key);
    std::uint64_t value = 0;
    if (at == std::string_view::npos ||
        std::from_chars(text.data() + at + key.size(), text.data() + text.size(), value).ec !=
            std::errc()) {
        stop(concat("an answer without ", key, ": ", text));
    }
    return value;
}

// The body of one answer.
std::string receive(int connection) {
    std::string data;
    for (;;) {
        std::array<char, 16384> part{};
        const ssize_t got = ::recv(connection, part.data(), part.size(), 0);
        if (got <= 0) {
            stop("the server closed a connection within an answer");
        }
        data.append(part.data(), static_cast<std::size_t>(got));
        const std::size_t head_end = data.find("\r\n\r\n");
        if (head_end == std::string::npos) {
            continue;
        }
        const std::string_view head = std::string_view(data).substr(0, head_end);
        const std::uint64_t length = number_behind(head, "Content-Length: ");
        if (data.size() >= head_end + 4 + length) {
            return data.substr(head_end + 4);
        }
    }
}

struct call_times {
    double first_line_ms = 0;  // from the request to the handler's first line
    double answer_ms = 0;      // from the request to its answer
};

std::int64_t nanoseconds_of(steady_time when) {
    return std::chrono::duration_cast<nanoseconds>(when.time_since_epoch()).count();
}

call_times call(int connection, const std::string& key, const std::string& id) {
    const std::string body = concat(R"({"functionId":")", id, R"(","inputData":{}})");
    const std::string request = concat(
        "POST /run HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: ", key,
        "\r\ncontent-type: application/json\r\ncontent-length: ", body.size(), "\r\n\r\n", body);
    const std::int64_t start = nanoseconds_of(steady_clock::now());
    if (::send(connection, request.data(), request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request.size())) {
        stop("a request could not be sent");
    }
    const std::string answer = receive(connection);
    const std::int64_t end = nanoseconds_of(steady_clock::now());
    if (answer.find(R"("coldStart":true)") == std::string::npos) {
        stop(concat("not the first call of a function: ", answer));
    }
    const auto first_line = static_cast<std::int64_t>(number_behind(answer, R"("result":)"));
    constexpr double per_ms = 1e6;
    return {static_cast<double>(first_line - start) / per_ms,
            static_cast<double>(end - start) / per_ms};
}

void call_as_asked(int connection, const std::string& key) {
    for (std::string id; std::getline(std::cin, id);) {
        const call_times taken = call(connection, key, id);
        std::printf("{\"first_line_ms\": %.3f, \"answer_ms\": %.3f}\n", taken.first_line_ms,
                    taken.answer_ms);
        std::fflush(stdout);
    }
}

void print_list(const char* name, const std::vector<call_times>& times,
                double call_times::* member) {
    std::printf("\"%s\": [", name);
    for (std::size_t i = 0; i < times.size(); ++i) {
        std::printf("%s%.3f", i == 0 ? "" : ", ", times[i].*member);
    }
    std::printf("], ");
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 4) {
        stop("usage: hearth-bench-run PORT API_KEY CALLERS < ids");
    }
    const auto port = static_cast<std::uint16_t>(std::atoi(arguments[1]));
    const std::string key = arguments[2];
    const int callers = std::atoi(arguments[3]);
    if (callers == 0) {
        call_as_asked(connect_to(port).get(), key);
        return 0;
    }
    std::vector<std::string> ids;
    for (std::string line; std::getline(std::cin, line);) {
        ids.push_back(line);
    }
    std::vector<call_times> times(ids.size());
    std::vector<unique_fd> connections;
    for (int i = 0; i < callers; ++i) {
        connections.push_back(connect_to(port));
    }
    std::atomic<std::size_t> next = 0;
    const steady_time start = steady_clock::now();
    {
        std::vector<std::jthread> threads;
        for (const unique_fd& connection : connections) {
            threads.emplace_back([&, fd = connection.get()] {
                for (std::size_t i = next++; i < ids.size(); i = next++) {
                    times[i] = call(fd, key, ids[i]);
                }
            });
        }
    }
    const double seconds_taken = std::chrono::duration<double>(steady_clock::now() - start).count();
    std::printf("{");
    print_list("first_line_ms", times, &call_times::first_line_ms);
    print_list("answer_ms", times, &call_times::answer_ms);
    std::printf("\"seconds\": %.4f}\n", seconds_taken);
    return 0;
}
