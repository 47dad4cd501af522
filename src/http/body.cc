#include "http/body.h"

#include <algorithm>
#include <utility>

#include "base/concat.h"

namespace hearth::http {
namespace {

constexpr std::string_view continue_response = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr seconds continue_timeout{10};

std::unexpected<error> body_too_large(std::uint64_t bytes_max) {
    return fail(errc::too_large, concat("The request's body is too large. At most ", bytes_max,
                                        " bytes are taken."));
}

}  // namespace

bool body_reader::begin(const request_head& head) noexcept {
    refused_ = {};
    waited_ = {};
    client_gone_ = false;
    announced_ = head.content_length.value_or(0);
    continue_owed_ = false;
    if (decoder_.begin(head) == body_decoder::status::failed) {
        refused_ = decoder_.error();
        return false;
    }
    continue_owed_ = head.expects_continue && !decoder_.complete();
    return true;
}

std::unexpected<error> body_reader::decoder_failed() {
    refused_ = decoder_.error();
    return fail(refused_.status == 413 ? errc::too_large : errc::protocol,
                std::string(refused_.message));
}

task<result<std::span<const std::byte>>> body_reader::read(deadline until) {
    for (;;) {
        std::span<const std::byte> rest = input_.bytes();
        std::span<const std::byte> data;
        const auto status = decoder_.next(rest, data);
        input_.keep_rest(rest);
        switch (status) {
            case body_decoder::status::data:
                continue_owed_ = false;
                co_return data;
            case body_decoder::status::complete:
                co_return std::span<const std::byte>();
            case body_decoder::status::failed:
                co_return decoder_failed();
            case body_decoder::status::incomplete:
                break;
        }
        auto received = co_await receive(until);
        if (!received) {
            co_return propagate(received);
        }
    }
}

task<result<>> body_reader::receive(deadline until) {
    if (std::exchange(continue_owed_, false)) {
        auto sent =
            co_await peer_.write(continue_response, std::min(until, after(continue_timeout)));
        if (!sent) {
            client_gone_ = true;
            co_return propagate(sent);
        }
    }
    const steady_time began = steady_clock::now();
    const nanoseconds earned = seconds(decoder_.received() / pace_.bytes_per_second_min);
    const deadline too_slow = began + pace_.grace + earned - waited_;
    auto filled = co_await input_.fill(std::min(until, too_slow));
    waited_ += steady_clock::now() - began;
    if (filled && *filled) {
        co_return result<>{};
    }
    if (filled || filled.error().code == errc::io || filled.error().code == errc::closed) {
        client_gone_ = true;
        co_return fail(errc::closed, "The client closed the connection before its request ended.");
    }
    if (filled.error().code == errc::deadline_exceeded && too_slow <= until) {
        refused_ = {408, "request_timeout", "The request's body came too slowly."};
        co_return fail(errc::deadline_exceeded, std::string(refused_.message));
    }
    co_return propagate(filled);
}

task<result<std::string>> body_reader::read_all(std::size_t bytes_max, deadline until) {
    if (announced_ > bytes_max) {
        co_return body_too_large(bytes_max);
    }
    std::string all;
    all.reserve(announced_);
    for (;;) {
        auto piece = co_await read(until);
        if (!piece) {
            co_return propagate(piece);
        }
        if (piece->empty()) {
            co_return all;
        }
        if (piece->size() > bytes_max - all.size()) {
            co_return body_too_large(bytes_max);
        }
        all.append(reinterpret_cast<const char*>(piece->data()), piece->size());
    }
}

task<result<std::uint64_t>> body_reader::copy_to_file(int descriptor, thread_pool& pool,
                                                      std::uint64_t bytes_max,
                                                      file_writer::block_hook on_block,
                                                      deadline until) {
    if (announced_ > bytes_max) {
        co_return body_too_large(bytes_max);
    }
    file_writer file(descriptor, pool, std::move(on_block));
    for (;;) {
        auto piece = co_await read(until);
        if (!piece) {
            co_return propagate(piece);
        }
        if (piece->size() > bytes_max - file.size()) {
            co_return body_too_large(bytes_max);
        }
        auto written = piece->empty() ? co_await file.finish() : co_await file.write(*piece);
        if (!written) {
            co_return propagate(written);
        }
        if (piece->empty()) {
            co_return file.size();
        }
    }
}

task<bool> body_reader::discard(std::uint64_t bytes_max, deadline until) {
    std::uint64_t dropped = 0;
    while (dropped <= bytes_max) {
        auto piece = co_await read(until);
        if (!piece) {
            co_return false;
        }
        if (piece->empty()) {
            co_return true;
        }
        dropped += piece->size();
    }
    co_return false;
}

}  // namespace hearth::http
