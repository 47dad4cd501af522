#include "redis/rate_limiter.h"

#include <array>
#include <span>
#include <utility>

#include <openssl/evp.h>

#include "base/check.h"
#include "base/concat.h"
#include "base/ids.h"
#include "base/log.h"

namespace hearth::redis {
namespace {

// The key holds the moments of the requests that were allowed, newest first, in microseconds; what
// has left the window is taken off the end. Answers: allowed, left, microseconds until one leaves.
constexpr std::string_view script = R"lua(
local limit = tonumber(ARGV[1])
local window = tonumber(ARGV[2])
local now
if ARGV[3] == '' then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
else
    now = tonumber(ARGV[3])
end
local oldest = redis.call('LINDEX', KEYS[1], -1)
while oldest and tonumber(oldest) <= now - window do
    redis.call('RPOP', KEYS[1])
    oldest = redis.call('LINDEX', KEYS[1], -1)
end
local used = redis.call('LLEN', KEYS[1])
if used >= limit then
    local free = redis.call('LINDEX', KEYS[1], limit - 1)
    return {0, 0, tonumber(free) + window - now}
end
redis.call('LPUSH', KEYS[1], string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
return {1, limit - used - 1, 0}
)lua";

std::string sha1_of(std::string_view text) {
    std::array<std::byte, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    HEARTH_CHECK(
        ::EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(digest.data()),
                     &size, EVP_sha1(), nullptr) == 1,
        "SHA-1 is not to be had");
    return to_hex(std::span(digest).first(size));
}

// The server's own word, as client::call() hands it on: "Redis: READONLY You can't …".
std::string_view word_of(std::string_view message) {
    constexpr std::string_view mark = "Redis: ";
    if (!message.starts_with(mark)) {
        return {};
    }
    message.remove_prefix(mark.size());
    return message.substr(0, message.find(' '));
}

limiter_trouble kind_of(const error& why) {
    const auto word = word_of(why.message);
    if (word == "READONLY") {
        return limiter_trouble::read_only;
    }
    if (word == "OOM" || word == "MISCONF") {
        return limiter_trouble::memory;
    }
    switch (why.code) {
        case errc::deadline_exceeded:
            return limiter_trouble::slow;
        case errc::permission_denied:
            return limiter_trouble::permission;
        case errc::not_found:
            return limiter_trouble::script;
        case errc::limit_exceeded:
            return limiter_trouble::busy;
        case errc::unavailable:
            return word.empty() ? limiter_trouble::away : limiter_trouble::busy;
        default:
            return limiter_trouble::other;
    }
}

}  // namespace

std::string_view to_string(limiter_trouble kind) noexcept {
    constexpr std::array<std::string_view, limiter_trouble_kinds> names{
        "none", "away", "slow", "permission", "read_only", "memory", "script", "busy", "other"};
    return names[static_cast<std::size_t>(kind)];
}

rate_limiter::rate_limiter(client& server, rate_limiter_settings settings)
    : server_(server), settings_(std::move(settings)), digest_(sha1_of(script)) {}

task<result<faas::rate_decision>> rate_limiter::check(std::string_view key, deadline until) {
    faas::rate_decision decision{.limit = settings_.limit, .remaining = settings_.limit};
    if (settings_.limit <= 0) {
        decision.limit = decision.remaining = 0;
        co_return decision;
    }
    const auto now = steady_clock::now();
    result<faas::rate_decision> asked =
        fail(errc::unavailable, "Redis did not answer lately; the rate limit is not asked");
    if (now >= ask_from_) {
        if (hangs_) {
            ask_from_ = now + settings_.pause_when_slow;  // the others need not wait along
        }
        asked = co_await ask(key, until);
        if (!asked && asked.error().code == errc::cancelled) {
            co_return asked;
        }
    }
    if (!asked && settings_.fail_open) {
        ++passed_unasked_;
        co_return decision;
    }
    co_return asked;
}

task<result<>> rate_limiter::probe(deadline until) {
    if (settings_.limit <= 0) {
        co_return result<>{};
    }
    auto asked = co_await ask("probe", until);
    co_return asked ? result<>{} : propagate(asked);
}

task<result<faas::rate_decision>> rate_limiter::ask(std::string_view key, deadline until) {
    faas::rate_decision decision{.limit = settings_.limit};
    auto answer = co_await run_script(concat(settings_.prefix, "rate:", key), until);
    if (answer && answer->get().size() != 3) {
        answer = fail(errc::protocol, "the rate limit's script answered something else");
    }
    if (!answer) {
        if (answer.error().code != errc::cancelled) {
            note_failure(answer.error());
        }
        co_return propagate(answer);
    }
    note_success();
    const value got = answer->get();
    decision.allowed = got[0].integer() == 1;
    decision.remaining = got[1].integer();
    decision.retry_after = std::chrono::ceil<milliseconds>(microseconds(got[2].integer()));
    co_return decision;
}

void rate_limiter::note_failure(const error& why) {
    const auto kind = kind_of(why);
    ++failures_[static_cast<std::size_t>(kind)];
    failed_at_ = steady_clock::now();
    hangs_ = kind == limiter_trouble::slow;
    if (hangs_) {
        ask_from_ = failed_at_ + settings_.pause_when_slow;
    }
    if (std::exchange(trouble_, kind) != kind) {
        log::warning("the rate limit cannot be asked",
                     {{"kind", to_string(kind)},
                      {"requests", settings_.fail_open ? "pass" : "are refused"},
                      {"reason", why.message}});
    }
}

void rate_limiter::note_success() {
    hangs_ = false;
    ask_from_ = {};
    if (trouble_ == limiter_trouble::none || steady_clock::now() - failed_at_ < settings_.calm) {
        return;
    }
    trouble_ = limiter_trouble::none;
    log::info("the rate limit can be asked again", {{"passedUnasked", passed_unasked_}});
}

// A Redis that was restarted, or took over, does not know the script yet; EVAL teaches it.
task<result<reply>> rate_limiter::run_script(const std::string& key, deadline until) {
    const auto limit = concat(settings_.limit);
    const auto window = concat(microseconds(settings_.window).count());
    const auto now = settings_.now ? concat(microseconds(settings_.now()).count()) : "";
    auto answer = co_await server_.call({"EVALSHA", digest_, "1", key, limit, window, now}, until);
    if (!answer && answer.error().code == errc::not_found) {
        answer = co_await server_.call({"EVAL", script, "1", key, limit, window, now}, until);
    }
    co_return answer;
}

}  // namespace hearth::redis
