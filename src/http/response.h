#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::http {

// The reason phrase of a status that this server uses; "Unknown" otherwise.
[[nodiscard]] std::string_view reason_phrase(int status) noexcept;

// A response before it is sent. The body is a short list of owned strings that goes out in one
// gathered write, so that a large payload between two small texts is never copied. The server adds
// Date, Content-Length, Connection and x-request-id.
class response {
public:
    static constexpr std::size_t parts_max = 4;

    response() = default;
    explicit response(int status) noexcept : status_(status) {}
    [[nodiscard]] static response json(int status, std::string body);
    [[nodiscard]] static response text(int status, std::string body);

    [[nodiscard]] int status() const noexcept { return status_; }

    // `name` is a token (checked: names are ours). Control characters in `value` become spaces, as
    // RFC 9110 §5.5 allows, so that no value can end its line.
    response& add_header(std::string_view name, std::string_view value);
    // A static text such as "application/json"; not copied.
    response& set_content_type(std::string_view type) noexcept {
        content_type_ = type;
        return *this;
    }
    // Appends to the body. Beyond parts_max the text is joined to the last part.
    response& append(std::string part);
    // Asks for the connection to be closed after this response.
    response& close_connection() noexcept {
        close_ = true;
        return *this;
    }

    [[nodiscard]] std::string_view header_lines() const noexcept { return header_lines_; }
    [[nodiscard]] std::string_view content_type() const noexcept { return content_type_; }
    [[nodiscard]] std::size_t part_count() const noexcept { return part_count_; }
    [[nodiscard]] std::string_view part(std::size_t index) const noexcept { return parts_[index]; }
    [[nodiscard]] std::uint64_t body_size() const noexcept;
    [[nodiscard]] bool closes_connection() const noexcept { return close_; }

private:
    int status_ = 200;
    bool close_ = false;
    std::size_t part_count_ = 0;
    std::string_view content_type_;
    std::string header_lines_;
    std::array<std::string, parts_max> parts_;
};

}  // namespace hearth::http
