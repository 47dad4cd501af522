#include "redis/rate_limiter.h"

#include <array>
#include <span>

#include <openssl/evp.h>

#include "base/check.h"
#include "base/concat.h"
#include "base/ids.h"

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

}  // namespace

rate_limiter::rate_limiter(client& server, rate_limiter_settings settings)
    : server_(server), settings_(std::move(settings)), digest_(sha1_of(script)) {}

task<result<faas::rate_decision>> rate_limiter::check(std::string_view key, deadline until) {
    faas::rate_decision decision{.limit = settings_.limit, .remaining = settings_.limit};
    if (settings_.limit <= 0) {
        decision.limit = decision.remaining = 0;
        co_return decision;
    }
    auto answer = co_await run_script(concat(settings_.prefix, "rate:", key), until);
    if (!answer) {
        if (settings_.fail_open && answer.error().code != errc::cancelled) {
            ++passed_unasked_;
            co_return decision;
        }
        co_return propagate(answer);
    }
    const value got = answer->get();
    if (got.size() != 3) {
        co_return fail(errc::protocol, "the rate limit's script answered something else");
    }
    decision.allowed = got[0].integer() == 1;
    decision.remaining = got[1].integer();
    decision.retry_after = std::chrono::ceil<milliseconds>(microseconds(got[2].integer()));
    co_return decision;
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
