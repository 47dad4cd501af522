#include "bench/load/connection.h"

#include "net/socket_stream.h"

namespace hearth::bench {

task<result<>> connection::call(std::string_view request, deadline until) {
    if (stream_ == nullptr) {
        auto made = co_await net::connect_stream(address_, until);
        if (!made) {
            co_return propagate(made);
        }
        stream_ = std::move(*made);
        ++connects_;
    }
    auto done = co_await exchange(request, until);
    if (!done || answer_.closes() || !keep_alive_) {
        co_await close();
    }
    co_return done;
}

task<result<>> connection::exchange(std::string_view request, deadline until) {
    answer_.reset();
    auto sent = co_await stream_->write(net::write_parts(&request, 1), until);
    if (!sent) {
        co_return sent;
    }
    while (!answer_.complete()) {
        auto got = co_await stream_->read(until);
        if (!got) {
            co_return propagate(got);
        }
        if (got->empty()) {
            co_return fail(errc::closed, "the server closed the connection within an answer");
        }
        auto taken = answer_.take(got->text());
        if (!taken) {
            co_return propagate(taken);
        }
        if (*taken < got->size()) {
            co_return fail(errc::protocol, "the server sent more than the answer");
        }
        bytes_received_ += got->size();
    }
    co_return result<>{};
}

task<void> connection::close() {
    if (stream_ != nullptr) {
        co_await stream_->close();
        stream_.reset();
    }
}

}  // namespace hearth::bench
