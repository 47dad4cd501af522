#include "http/body_decoder.h"

#include <algorithm>

#include "http/characters.h"

namespace hearth::http {
namespace {

constexpr std::size_t size_digits_max = 16;

// Fields that decide where a message ends or whom it is for (RFC 9110 §6.5.1).
bool is_forbidden_in_trailer(std::string_view name) {
    return equal_ignoring_case(name, "content-length") ||
           equal_ignoring_case(name, "transfer-encoding") || equal_ignoring_case(name, "host");
}

}  // namespace

body_decoder::status body_decoder::reject(int code, std::string_view name,
                                          std::string_view message) noexcept {
    error_ = {code, name, message};
    state_ = state::failed;
    return status::failed;
}

body_decoder::status body_decoder::begin(const request_head& head) noexcept {
    error_ = {};
    received_ = 0;
    digits_ = line_bytes_ = extension_bytes_ = trailer_bytes_ = name_size_ = 0;
    chunked_ = head.chunked;
    remaining_ = head.chunked ? 0 : head.content_length.value_or(0);
    if (remaining_ > limits_.body_bytes_max) {
        return reject(413, "payload_too_large", "The request's body is too large.");
    }
    state_ = chunked_ ? state::chunk_size : remaining_ > 0 ? state::fixed : state::complete;
    return complete() ? status::complete : status::incomplete;
}

body_decoder::status body_decoder::next(std::span<const std::byte>& input,
                                        std::span<const std::byte>& data) noexcept {
    while (true) {
        if (state_ == state::complete) {
            return status::complete;
        }
        if (state_ == state::failed) {
            return status::failed;
        }
        if (input.empty()) {
            return status::incomplete;
        }
        if (state_ == state::fixed || state_ == state::chunk_data) {
            const auto count =
                static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, input.size()));
            data = input.first(count);
            input = input.subspan(count);
            remaining_ -= count;
            received_ += count;
            if (remaining_ == 0) {
                state_ = state_ == state::fixed ? state::complete : state::chunk_data_cr;
            }
            return status::data;
        }
        const char c = static_cast<char>(input.front());
        input = input.subspan(1);
        if (!step(c)) {
            return status::failed;
        }
    }
}

void body_decoder::expect(char c, char wanted, state then) noexcept {
    if (c == wanted) {
        state_ = then;
    } else {
        bad("The framing of a chunk is broken.");
    }
}

// One byte of framing. False when it broke the rules.
bool body_decoder::step(char c) noexcept {
    switch (state_) {
        case state::chunk_size:
            return take_size_digit(c);
        case state::chunk_extension:
            if (c == '\r') {
                state_ = state::chunk_size_lf;
            } else if (!is_field_value({&c, 1}) || ++line_bytes_ > limits_.chunk_line_bytes_max ||
                       ++extension_bytes_ > limits_.chunk_extension_bytes_max) {
                bad("A chunk extension is malformed or too long.");
            }
            break;
        case state::chunk_size_lf:
            if (c == '\n') {
                end_of_size_line();
            } else {
                bad("The framing of a chunk is broken.");
            }
            break;
        case state::chunk_data_cr:
            expect(c, '\r', state::chunk_data_lf);
            break;
        case state::chunk_data_lf:
            expect(c, '\n', state::chunk_size);
            break;
        case state::trailer_begin:
        case state::trailer_name:
        case state::trailer_value:
            return take_trailer(c);
        case state::trailer_lf:
            expect(c, '\n', state::trailer_begin);
            break;
        case state::last_lf:
            expect(c, '\n', state::complete);
            break;
        default:
            break;
    }
    return state_ != state::failed;
}

bool body_decoder::take_size_digit(char c) noexcept {
    const int digit = hex_value(c);
    if (digit >= 0) {
        if (++digits_ > size_digits_max) {
            bad("A chunk's size has too many digits.");
            return false;
        }
        remaining_ = remaining_ * 16 + static_cast<std::uint64_t>(digit);
        return true;
    }
    if (digits_ == 0 || (c != '\r' && c != ';')) {
        bad("A chunk's size is not a hexadecimal number.");
        return false;
    }
    state_ = c == '\r' ? state::chunk_size_lf : state::chunk_extension;
    return true;
}

void body_decoder::end_of_size_line() noexcept {
    if (remaining_ > limits_.body_bytes_max - received_) {
        reject(413, "payload_too_large", "The request's body is too large.");
        return;
    }
    state_ = remaining_ == 0 ? state::trailer_begin : state::chunk_data;
    digits_ = line_bytes_ = 0;
}

bool body_decoder::take_trailer(char c) noexcept {
    if (++trailer_bytes_ > limits_.trailer_bytes_max) {
        reject(431, "header_fields_too_large", "The request's trailers are too large.");
        return false;
    }
    if (state_ == state::trailer_begin) {
        if (c == '\r') {
            state_ = state::last_lf;
            return true;
        }
        name_size_ = 0;
        state_ = state::trailer_name;
    }
    if (state_ == state::trailer_value) {
        if (c == '\r') {
            state_ = state::trailer_lf;
        } else if (!is_field_value({&c, 1})) {
            bad("A trailer contains control characters.");
        }
        return state_ != state::failed;
    }
    if (c == ':') {
        if (name_size_ == 0 ||
            is_forbidden_in_trailer({name_, std::min(name_size_, name_kept_max)})) {
            bad("A trailer is not allowed there.");
            return false;
        }
        state_ = state::trailer_value;
        return true;
    }
    if (!is_token({&c, 1})) {
        bad("A trailer has no well-formed name.");
        return false;
    }
    if (name_size_ < name_kept_max) {
        name_[name_size_] = c;
    }
    ++name_size_;
    return true;
}

}  // namespace hearth::http
