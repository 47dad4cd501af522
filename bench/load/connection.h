#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "bench/load/answer.h"
#include "coro/task.h"
#include "net/stream.h"

namespace hearth::bench {

// One connection that makes one call after another, connecting where it is not connected: at
// first, after an error, after an answer that closes, and always where it is not kept alive. Ring
// thread only; close() is awaited before it is destroyed.
class connection {
public:
    // `address` as net::connect_stream takes it.
    connection(std::string address, std::size_t body_kept_max, bool keep_alive = true)
        : address_(std::move(address)), answer_(body_kept_max), keep_alive_(keep_alive) {}

    // Sends the bytes of one request and reads its answer, which is valid until the next call.
    // `request` stays valid meanwhile. After an error nothing is known of the call's fate.
    task<result<>> call(std::string_view request, deadline until);
    task<void> close();

    [[nodiscard]] const answer& last() const noexcept { return answer_; }
    [[nodiscard]] std::uint64_t connects() const noexcept { return connects_; }
    [[nodiscard]] std::uint64_t bytes_received() const noexcept { return bytes_received_; }

private:
    task<result<>> exchange(std::string_view request, deadline until);

    std::string address_;
    answer answer_;
    bool keep_alive_;
    std::unique_ptr<net::stream> stream_;
    std::uint64_t connects_ = 0;
    std::uint64_t bytes_received_ = 0;
};

}  // namespace hearth::bench
