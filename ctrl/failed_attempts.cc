#include "ctrl/failed_attempts.h"

#include "base/log.h"
#include "http/error_response.h"

namespace hearth::ctrl {

std::optional<seconds> failed_attempts::must_wait(std::string_view client, steady_time now) {
    if (!any_.load(std::memory_order_relaxed)) {
        return std::nullopt;
    }
    const std::lock_guard lock(access_);
    pass_window(now);
    const auto found = failures_.find(std::string(client));
    if (found == failures_.end() || found->second < failures_max) {
        return std::nullopt;
    }
    return std::chrono::ceil<seconds>(window_end_ - now);
}

void failed_attempts::failed(std::string_view client, steady_time now) {
    if (!counting_) {
        return;
    }
    const std::lock_guard lock(access_);
    pass_window(now);
    if (!any_.exchange(true, std::memory_order_relaxed)) {
        window_end_ = now + window;
    }
    if (failures_.size() >= clients_max && !failures_.contains(std::string(client))) {
        std::erase_if(failures_, [](const auto& each) { return each.second < failures_max; });
        if (failures_.size() >= clients_max) {
            failures_.clear();
        }
    }
    if (++failures_[std::string(client)] == failures_max) {
        log::warning("a client shows wrong keys and is refused for a while",
                     {{"client", client}, {"failures", failures_max}});
    }
}

std::size_t failed_attempts::clients() {
    const std::lock_guard lock(access_);
    return failures_.size();
}

void failed_attempts::pass_window(steady_time now) {
    if (now >= window_end_) {
        failures_.clear();
        any_.store(false, std::memory_order_relaxed);
    }
}

http::response too_many_failures(seconds wait, const http::request& request) {
    http::response refused = http::error_response(
        429, "rate_limited", "Too many wrong keys from this address.", request.id());
    refused.add_header("retry-after", std::to_string(wait.count()));
    return refused;
}

}  // namespace hearth::ctrl
