#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "http/body.h"
#include "http/head.h"
#include "http/target.h"

namespace hearth::http {

// Values of a route's ":name" segments, in the path's order. Views into the request's head.
struct path_parameters {
    static constexpr std::size_t count_max = 4;

    struct entry {
        std::string_view name;
        std::string_view value;
    };
    std::array<entry, count_max> entries{};
    std::size_t count = 0;

    [[nodiscard]] std::string_view get(std::string_view name) const noexcept {
        for (std::size_t i = 0; i < count; ++i) {
            if (entries[i].name == name) {
                return entries[i].value;
            }
        }
        return {};
    }
};

// One request as its handler sees it. Belongs to the connection: everything that it hands out as a
// view is valid until the handler's task ends, on any thread; the body only on the connection's.
class request {
public:
    request(const request_head& head, body_reader& body, std::string_view id,
            std::string_view client, const path_parameters& parameters, std::string_view route)
        : head_(head),
          body_(body),
          id_(id),
          client_(client),
          parameters_(parameters),
          route_(route) {}
    request(const request&) = delete;
    request& operator=(const request&) = delete;

    [[nodiscard]] http::method method() const noexcept { return head_.method; }
    [[nodiscard]] const request_head& head() const noexcept { return head_; }
    // Percent-decoded, without dot segments.
    [[nodiscard]] std::string_view path() const noexcept { return head_.path; }
    [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept {
        return head_.header(name);
    }
    // The value of ":name" in the route's pattern; empty when it has none.
    [[nodiscard]] std::string_view parameter(std::string_view name) const noexcept {
        return parameters_.get(name);
    }
    // See query_value().
    [[nodiscard]] std::optional<std::string> query_parameter(std::string_view name) const {
        return query_value(head_.query, name);
    }
    // The pattern that matched: "/functions/:id".
    [[nodiscard]] std::string_view route() const noexcept { return route_; }
    // x-request-id: the client's when it is well formed, a new UUID otherwise.
    [[nodiscard]] std::string_view id() const noexcept { return id_; }
    // The peer's address with its port.
    [[nodiscard]] std::string_view client() const noexcept { return client_; }
    // Whether a body was announced, even an empty one. Without it a method that needs one is 411.
    [[nodiscard]] bool has_body() const noexcept {
        return head_.chunked || head_.content_length.has_value();
    }
    [[nodiscard]] body_reader& body() noexcept { return body_; }

private:
    const request_head& head_;
    body_reader& body_;
    std::string_view id_;
    std::string_view client_;
    const path_parameters& parameters_;
    std::string_view route_;
};

}  // namespace hearth::http
