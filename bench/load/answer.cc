#include "bench/load/answer.h"

#include <algorithm>
#include <charconv>

#include "base/concat.h"

namespace hearth::bench {
namespace {

constexpr std::string_view head_end = "\r\n\r\n";
constexpr std::string_view version = "HTTP/1.1 ";

constexpr char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equal_ignoring_case(std::string_view text, std::string_view lower_case) {
    return std::ranges::equal(text, lower_case, {}, lower);
}

template <class T>
bool read_number(std::string_view text, T& into) {
    const char* const end = text.data() + text.size();
    const auto done = std::from_chars(text.data(), end, into);
    return done.ec == std::errc() && done.ptr == end;
}

bool has_no_body(int status) {
    constexpr int no_content = 204;
    constexpr int not_modified = 304;
    return status == no_content || status == not_modified;
}

}  // namespace

void answer::reset() noexcept {
    head_.clear();
    body_.clear();
    body_left_ = 0;
    in_body_ = false;
    closes_ = false;
}

result<std::size_t> answer::take(std::string_view bytes) {
    if (in_body_) {
        return take_body(bytes);
    }
    // Nearly every answer comes in one piece and is read where it lies.
    std::size_t before = 0;
    std::string_view text = bytes;
    if (!head_.empty()) {
        before = head_.size();
        head_ += bytes;
        text = head_;
    }
    const std::size_t from = before < head_end.size() ? 0 : before - head_end.size();
    const std::size_t end = text.find(head_end, from);
    if (end == std::string_view::npos) {
        if (text.size() > head_bytes_max) {
            return fail(errc::too_large, "an answer's head is over 64 KB");
        }
        if (before == 0) {
            head_ = bytes;
        }
        return bytes.size();
    }
    if (auto read = read_head(text.substr(0, end + 2)); !read) {
        return propagate(read);
    }
    in_body_ = true;
    const std::size_t head_bytes = end + head_end.size() - before;
    return head_bytes + take_body(bytes.substr(head_bytes));
}

std::size_t answer::take_body(std::string_view bytes) {
    const std::string_view part = bytes.substr(0, body_left_);
    body_ += part.substr(0, body_kept_max_ - std::min(body_kept_max_, body_.size()));
    body_left_ -= part.size();
    return part.size();
}

// `head` has the status line and every header, each with its line end.
result<> answer::read_head(std::string_view head) {
    constexpr std::size_t digits = 3;
    const auto broken = [&](std::string_view what) {
        constexpr std::size_t shown = 200;
        return fail(errc::protocol, concat(what, ": ", head.substr(0, shown)));
    };
    if (!head.starts_with(version) || head.size() < version.size() + digits ||
        !read_number(head.substr(version.size(), digits), status_)) {
        return broken("this is no answer of HTTP/1.1");
    }
    bool has_length = has_no_body(status_);
    for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
        const std::size_t end = head.find("\r\n", at);
        const std::string_view line = head.substr(at, end - at);
        at = end + 2;
        const std::size_t colon = std::min(line.find(':'), line.size());
        std::string_view value = line.substr(std::min(colon + 1, line.size()));
        value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
        if (equal_ignoring_case(line.substr(0, colon), "content-length")) {
            has_length = read_number(value, body_left_);
        } else if (equal_ignoring_case(line.substr(0, colon), "connection")) {
            closes_ = equal_ignoring_case(value, "close");
        }
    }
    return has_length ? result<>() : broken("an answer without Content-Length");
}

}  // namespace hearth::bench
