#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http/body_decoder.h"
#include "http/parser.h"

namespace hearth::http {

// What the two parsers make of a connection's bytes, without a server: 200 for each request that is
// complete, the status of the rejection that ends it, and all bodies one after the other.
struct reading {
    std::vector<int> statuses;
    std::string bodies;
    std::string targets;

    bool operator==(const reading&) const = default;
};

class connection_reading {
public:
    void feed(std::string_view bytes) {
        std::span<const std::byte> input = std::as_bytes(std::span(bytes));
        while (!over_ && (in_body_ ? feed_body(input) : feed_head(input))) {
        }
    }
    [[nodiscard]] const reading& so_far() const { return reading_; }

private:
    bool feed_head(std::span<const std::byte>& input) {
        switch (head_.feed(input)) {
            case head_parser::status::incomplete:
                return false;
            case head_parser::status::failed:
                return end(head_.error().status);
            case head_parser::status::complete:
                break;
        }
        reading_.targets += head_.head().target;
        in_body_ = true;
        return body_.begin(head_.head()) != body_decoder::status::failed ||
               end(body_.error().status);
    }
    bool feed_body(std::span<const std::byte>& input) {
        std::span<const std::byte> data;
        switch (body_.next(input, data)) {
            case body_decoder::status::incomplete:
                return false;
            case body_decoder::status::data:
                reading_.bodies.append(reinterpret_cast<const char*>(data.data()), data.size());
                return true;
            case body_decoder::status::failed:
                return end(body_.error().status);
            case body_decoder::status::complete:
                break;
        }
        reading_.statuses.push_back(200);
        over_ = !head_.head().keep_alive;
        head_.reset();
        in_body_ = false;
        return true;
    }
    bool end(int status) {
        reading_.statuses.push_back(status);
        over_ = true;
        return false;
    }

    head_parser head_;
    body_decoder body_;
    reading reading_;
    bool in_body_ = false;
    bool over_ = false;
};

// `piece` bytes at a time.
[[nodiscard]] inline reading read_in_pieces(std::string_view bytes, std::size_t piece) {
    connection_reading connection;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        connection.feed(bytes.substr(at, piece));
    }
    return connection.so_far();
}

[[nodiscard]] inline reading read_split_at(std::string_view bytes, std::size_t at) {
    connection_reading connection;
    connection.feed(bytes.substr(0, at));
    connection.feed(bytes.substr(at));
    return connection.so_far();
}

}  // namespace hearth::http
