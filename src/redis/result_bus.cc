#include "redis/result_bus.h"

#include <algorithm>
#include <utility>

#include "base/concat.h"
#include "coro/when_all.h"
#include "faas/record_codec.h"

namespace hearth::redis {
namespace {

// In the place of a record that is too large. No record is encoded like this.
constexpr std::string_view in_the_log = "log";
// A caller's deadline by another host's clock, and the way back of what it waits for.
constexpr milliseconds slack{5'000};

// No longer than its caller waits, and no longer than `most`.
seconds lifetime_of(epoch_ms awaited_until, seconds most) {
    const auto left = milliseconds(std::max<epoch_ms>(awaited_until - wall_clock_ms(), 0)) + slack;
    return std::min(std::chrono::ceil<seconds>(left), most);
}

}  // namespace

// One waiter's part in a topic.
class result_bus::subscription {
public:
    subscription(result_bus& bus, std::string channel)
        : bus_(bus), entry_(*bus.topics_.try_emplace(std::move(channel)).first) {
        ++bus_.waiters_;
        // Without a connection now, on_connected() subscribes.
        if (++entry_.second.waiters == 1) {
            [[maybe_unused]] const auto sent = bus_.subscriber_.send({"SUBSCRIBE", entry_.first});
        }
    }
    subscription(const subscription&) = delete;
    subscription& operator=(const subscription&) = delete;
    ~subscription() {
        --bus_.waiters_;
        if (--entry_.second.waiters == 0) {
            [[maybe_unused]] const auto sent = bus_.subscriber_.send({"UNSUBSCRIBE", entry_.first});
            bus_.topics_.erase(bus_.topics_.find(entry_.first));
        }
    }
    [[nodiscard]] topic& operator*() const noexcept { return entry_.second; }

private:
    result_bus& bus_;
    decltype(topics_)::value_type& entry_;
};

result_bus::result_bus(client& commands, const client_settings& server, thread_pool& lookups,
                       result_bus_settings settings)
    : commands_(commands),
      settings_(std::move(settings)),
      subscriber_(server, lookups,
                  {.on_push = [this](const reply& got) { on_push(got); },
                   .on_connected = [this] { on_connected(); },
                   .on_lost =
                       [this] {
                           on_lost();
                       }}) {}

task<result<>> result_bus::publish(const faas::invocation_record& record, epoch_ms awaited_until,
                                   deadline until) {
    if (!is_final(record.status)) {
        co_return fail(errc::invalid_argument, "only the end of an invocation is published");
    }
    if (awaited_until == 0) {
        co_return result<>{};  // whoever asks for its status reads the invocation log
    }
    const auto key = concat(settings_.prefix, "outcome:", record.job_id);
    const auto channel = concat(settings_.prefix, "ended:", record.job_id);
    auto content = faas::encode(record);
    if (content.size() > settings_.outcome_bytes_max) {
        content = in_the_log;
    }
    const auto lifetime = concat(lifetime_of(awaited_until, settings_.outcome_ttl).count());
    // Both at once: the server keeps their order, so whoever hears the second finds the first.
    auto [stored, announced] =
        co_await when_all(commands_.call({"SET", key, content, "EX", lifetime}, until),
                          commands_.call({"PUBLISH", channel, ""}, until));
    if (!stored) {
        co_return propagate(stored);
    }
    if (!announced) {
        co_return propagate(announced);
    }
    co_return result<>{};
}

task<result<faas::invocation_record>> result_bus::wait(std::string_view job_id, deadline until) {
    if (waiters_ >= settings_.waiters_max) {
        co_return fail(errc::limit_exceeded,
                       concat("too many callers wait for results (", settings_.waiters_max,
                              "); ask for the job's status instead"));
    }
    const std::string id(job_id);
    const subscription mine(*this, concat(settings_.prefix, "ended:", id));
    topic& job = *mine;
    std::uint64_t seen = 0;
    for (;;) {
        if (job.subscribed && job.news != seen) {
            seen = job.news;
            auto found = co_await find(id, until);
            if (!found) {
                co_return propagate(found);
            }
            if (*found) {
                co_return std::move(**found);
            }
            continue;
        }
        const deadline give_up =
            job.subscribed ? until : std::min(until, after(settings_.outage_max));
        auto woken = co_await job.changed.wait(give_up);
        if (woken) {
            continue;
        }
        if (woken.error().code == errc::deadline_exceeded && give_up < until) {
            co_return fail(errc::unavailable, "there is no connection to Redis to wait on");
        }
        co_return propagate(woken);
    }
}

task<result<std::optional<faas::invocation_record>>> result_bus::find(std::string_view job_id,
                                                                      deadline until) {
    auto got =
        co_await commands_.call({"GET", concat(settings_.prefix, "outcome:", job_id)}, until);
    if (!got) {
        co_return propagate(got);
    }
    if (got->get().is_nil()) {
        co_return std::nullopt;
    }
    if (got->get().text() == in_the_log) {
        co_return fail(errc::too_large, "the outcome is in the invocation log alone");
    }
    auto record = faas::decode_record(got->get().text());
    if (!record) {
        co_return propagate(record);
    }
    co_return std::move(*record);
}

bool result_bus::listening() const {
    return std::ranges::all_of(topics_, [](const auto& each) { return each.second.subscribed; });
}

void result_bus::on_push(const reply& got) {
    const auto kind = got.get()[0].text();
    const auto found = topics_.find(std::string(got.get()[1].text()));
    // What nobody waits for any more was on its way already.
    if (found == topics_.end() || kind == "unsubscribe") {
        return;
    }
    topic& job = found->second;
    job.subscribed = true;
    ++job.news;
    job.changed.notify_all();
}

void result_bus::on_connected() {
    for (const auto& [channel, job] : topics_) {
        [[maybe_unused]] const auto sent = subscriber_.send({"SUBSCRIBE", channel});
    }
}

void result_bus::on_lost() {
    for (auto& [channel, job] : topics_) {
        job.subscribed = false;
        job.changed.notify_all();
    }
}

}  // namespace hearth::redis
