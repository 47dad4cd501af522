#pragma once

#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/concat.h"
#include "http/options.h"

// Requests as text, and an observer that remembers: what the server's tests share.

namespace hearth::http {

inline constexpr std::string_view get_root = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

inline std::string get(std::string_view target, std::string_view headers = "") {
    return concat("GET ", target, " HTTP/1.1\r\nHost: h\r\n", headers, "\r\n");
}
inline std::string post(std::string_view target, std::string_view body,
                        std::string_view headers = "") {
    return concat("POST ", target, " HTTP/1.1\r\nHost: h\r\nContent-Length: ", body.size(), "\r\n",
                  headers, "\r\n", body);
}
inline std::string in_chunks(std::string_view target, std::string_view body, std::size_t chunk) {
    std::string text =
        concat("POST ", target, " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (std::size_t at = 0; at < body.size(); at += chunk) {
        const std::string_view piece = body.substr(at, chunk);
        char size[20];
        const int digits = std::snprintf(size, sizeof size, "%zx", piece.size());
        text +=
            concat(std::string_view(size, static_cast<std::size_t>(digits)), "\r\n", piece, "\r\n");
    }
    return text + "0\r\n\r\n";
}

// Keeps a copy of what the server reports.
class exchange_log final : public observer {
public:
    struct entry {
        std::string method, path, route, request_id;
        int status;
        std::uint64_t request_bytes, response_bytes;
    };

    void on_exchange(const exchange& done) noexcept override {
        const std::scoped_lock lock(mutex_);
        entries_.push_back({std::string(done.method), std::string(done.path),
                            std::string(done.route), std::string(done.request_id), done.status,
                            done.request_bytes, done.response_bytes});
    }
    [[nodiscard]] std::vector<entry> entries() {
        const std::scoped_lock lock(mutex_);
        return entries_;
    }

private:
    std::mutex mutex_;
    std::vector<entry> entries_;
};

}  // namespace hearth::http
