#include "redis/worker_census.h"

#include <utility>

#include "base/concat.h"

namespace hearth::redis {
namespace {

// Both keys hold ids by the moment (ms) in which they were last heard of: those that take jobs, and
// those that said that they end. The latter stay twice as long, since another controller may tell
// of what it heard before.
constexpr std::string_view script = R"lua(
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lifetime = tonumber(ARGV[1])
for id, ago, leaving in string.gmatch(ARGV[2], '(%S+) (%d+) (%d)\n') do
    local at = now - tonumber(ago)
    if leaving == '1' then
        redis.call('ZADD', KEYS[2], at, id)
        redis.call('ZREM', KEYS[1], id)
    elseif not redis.call('ZSCORE', KEYS[2], id) then
        local known = redis.call('ZSCORE', KEYS[1], id)
        if not known or tonumber(known) < at then
            redis.call('ZADD', KEYS[1], at, id)
        end
    end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - lifetime)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 2 * lifetime)
redis.call('PEXPIRE', KEYS[1], lifetime)
redis.call('PEXPIRE', KEYS[2], 2 * lifetime)
return redis.call('ZCARD', KEYS[1])
)lua";

}  // namespace

worker_census::worker_census(client& server, worker_census_settings settings)
    : server_(server), settings_(std::move(settings)) {}

// Once in seconds, so that the script may come along each time.
task<result<std::int64_t>> worker_census::exchange(const std::vector<faas::worker_sighting>& heard,
                                                   deadline until) {
    std::string told;  // a line each; ids have no blanks
    for (const auto& each : heard) {
        told += concat(each.id, ' ', each.ago.count(), each.leaving ? " 1\n" : " 0\n");
    }
    const auto workers = concat(settings_.prefix, "workers");
    const auto leaving = concat(settings_.prefix, "workers:leaving");
    const auto lifetime = concat(settings_.lifetime.count());
    auto answer =
        co_await server_.call({"EVAL", script, "2", workers, leaving, lifetime, told}, until);
    if (!answer) {
        co_return propagate(answer);
    }
    co_return answer->get().integer();
}

}  // namespace hearth::redis
