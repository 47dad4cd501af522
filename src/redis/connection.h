#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "coro/event.h"
#include "coro/scope.h"
#include "coro/task.h"
#include "coro/wait_list.h"
#include "net/stream.h"
#include "redis/reply.h"

struct redisReader;

namespace hearth::redis {

// A command as it is sent. Made from its words at once, so that a lazy task holds no view of them.
class command {
public:
    command(std::initializer_list<std::string_view> words);  // NOLINT(google-explicit-constructor)
    [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }

private:
    std::string bytes_;
};

// One connection to a Redis server: hiredis turns bytes into replies and commands into bytes, the
// stream moves them. Commands are pipelined: what coroutines ask in one turn of the event loop goes
// out in one send, and replies are matched to commands by order. Ring thread only.
class connection {
public:
    // Commands without a reply yet. More: errc::limit_exceeded.
    static constexpr std::size_t in_flight_max = 10'000;
    // Bytes that wait to be sent. More: errc::limit_exceeded.
    static constexpr std::size_t queued_bytes_max = 64u << 20;

    // `link` is connected. `on_push` gets the messages of subscriptions, which answer no command.
    explicit connection(std::unique_ptr<net::stream> link,
                        std::function<void(const reply&)> on_push = {});
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    ~connection();

    // Moves bytes until the stream ends, the server breaks the protocol, or close(); returns why.
    // Every call has been answered by then, and the stream is closed.
    task<error> serve();
    void close();

    [[nodiscard]] event& ended() noexcept { return ended_; }
    // Of the server so far: whether it speaks at all.
    [[nodiscard]] std::uint64_t received_bytes() const noexcept { return received_bytes_; }

    // errc::unavailable when the connection ends first: the command may or may not have run. After
    // errc::deadline_exceeded or cancelled likewise; the late reply is dropped. An error reply of
    // the server is a reply.
    task<result<reply>> call(command asked, deadline until);
    // A command whose answer comes as a push (SUBSCRIBE), or that nobody waits for.
    [[nodiscard]] result<> send(const command& asked);

private:
    // Shared by the caller and the line of commands: either may be gone first.
    struct pending {
        std::optional<result<reply>> answer;
        wait_list answered;
    };

    task<void> read_replies();
    task<void> write_commands();
    [[nodiscard]] bool deliver(reply got);
    void end(error why);

    std::unique_ptr<net::stream> stream_;
    std::function<void(const reply&)> on_push_;
    struct free_reader {
        void operator()(redisReader* owned) const noexcept;
    };
    std::unique_ptr<redisReader, free_reader> reader_;
    std::uint64_t received_bytes_ = 0;
    std::string queued_;
    wait_list has_queued_;
    std::deque<std::shared_ptr<pending>> in_flight_;
    scope* moving_ = nullptr;  // while serve() runs
    std::optional<error> why_;
    event ended_;
};

}  // namespace hearth::redis
