#include "aws/host_life.h"

#include <algorithm>
#include <utility>

#include "aws/text.h"
#include "base/concat.h"
#include "base/json.h"
#include "base/log.h"
#include "coro/wait_list.h"

namespace hearth::aws {
namespace {

constexpr seconds look_time_max{4};  // of one look: below the interval between two
constexpr seconds call_time_max{10};
// A heartbeat timeout is 30 s at least (docs.aws.amazon.com/autoscaling/ec2/APIReference/
// API_PutLifecycleHook.html); what a description leaves out or has wrong is taken for that.
constexpr seconds heartbeat_timeout_min{30};
constexpr seconds heartbeat_timeout_max{7200};

// A group's word for where the instance shall be next, that means its end (docs.aws.amazon.com/
// autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html). Warmed:Running,
// Standby and Detached hosts live on.
bool means_end(std::string_view state) {
    return state == "Terminated" || state == "Warmed:Terminated" || state == "Warmed:Stopped" ||
           state == "Warmed:Hibernated";
}

// {"action":"terminate","time":"2026-01-31T08:22:00Z"}
std::optional<host_notice> parse_notice(std::string_view text) {
    const auto parsed = json::document::parse(text);
    std::string_view action;
    std::string_view time;
    if (!parsed || parsed->root()["action"].get(action) != simdjson::SUCCESS) {
        return std::nullopt;
    }
    host_notice out{.why = host_notice::cause::spot, .action = std::string(action), .end_at = {}};
    if (parsed->root()["time"].get(time) == simdjson::SUCCESS) {
        out.end_at = parse_rfc3339(time);
    }
    return out;
}

}  // namespace

host_life::host_life(metadata& about, auto_scaling& group,
                     std::function<void(const host_notice&)> listener, host_life_options options)
    : about_(about), group_(group), listener_(std::move(listener)), options_(options) {}

task<void> host_life::run() {
    const bool is_instance = co_await find_instance();
    known_.set();
    if (!is_instance) {
        co_return;
    }
    scope heartbeats(co_await current_stop());
    do {
        ++counts_.looks;
        result<> seen;
        if (is_spot_ && !spot_told_) {
            seen = co_await look_for_spot_notice();
        }
        if (!group_told_) {
            auto group = co_await look_at_group();
            seen = group ? std::move(seen) : std::move(group);
            if (group_told_) {
                heartbeats.spawn(keep_group_waiting());
            }
        }
        note(seen);
    } while (co_await sleep_until(after(options_.look_interval)));
    co_await heartbeats.join();
}

task<bool> host_life::find_instance() {
    milliseconds pause = options_.look_interval;
    for (std::int64_t attempt = 1; !about_.disabled(); ++attempt) {
        auto id = co_await about_.get("/latest/meta-data/instance-id", after(look_time_max));
        if (id) {
            instance_id_ = std::move(*id);
            // "on-demand" and "scheduled" instances are never taken back.
            const auto kind =
                co_await about_.get("/latest/meta-data/instance-life-cycle", after(look_time_max));
            is_spot_ = !kind || *kind == "spot";
            log::info("this host is an EC2 instance; its end is watched for",
                      {{"instanceId", instance_id_}, {"spot", is_spot_}});
            co_return true;
        }
        const auto code = id.error().code;
        if (code == errc::permission_denied) {
            log::warning("the end of this EC2 instance cannot be watched for",
                         {{"reason", id.error().message}});
            break;
        }
        if (attempt == options_.first_attempts) {
            log::info(
                "EC2's metadata does not answer: this host is taken for no EC2 instance; it is "
                "asked again now and then (AWS_EC2_METADATA_DISABLED=true ends that)",
                {{"reason", id.error().message}});
            known_.set();
        }
        if (code == errc::cancelled || !co_await sleep_until(after(pause))) {
            break;
        }
        if (attempt >= options_.first_attempts) {
            pause = std::min(pause * 2, options_.search_interval_max);
        }
    }
    co_return false;
}

task<result<>> host_life::look_for_spot_notice() {
    auto text = co_await about_.get("/latest/meta-data/spot/instance-action", after(look_time_max));
    if (!text && text.error().code == errc::not_found) {
        co_return result<>{};  // it stays, for now
    }
    if (!text) {
        co_return propagate(text);
    }
    auto notice = parse_notice(*text);
    if (!notice) {
        co_return fail(errc::protocol, "the spot notice is not understood");
    }
    spot_told_ = true;
    log::warning("EC2 takes this spot instance back",
                 {{"action", notice->action},
                  {"at", notice->end_at ? format_rfc3339(*notice->end_at) : "soon"}});
    listener_(*notice);
    co_return result<>{};
}

task<result<bool>> host_life::is_leaving_group(deadline until) {
    auto state = co_await about_.get("/latest/meta-data/autoscaling/target-lifecycle-state", until);
    if (!state && state.error().code == errc::not_found) {
        co_return false;  // in no group
    }
    if (!state) {
        co_return propagate(state);
    }
    co_return means_end(*state);
}

task<result<>> host_life::look_at_group() {
    auto leaving = co_await is_leaving_group(after(look_time_max));
    if (!leaving) {
        co_return propagate(leaving);
    }
    if (*leaving) {
        group_told_ = true;
        log::info("the Auto Scaling group ends this instance", {{"instanceId", instance_id_}});
        listener_({.why = host_notice::cause::group, .action = "terminate", .end_at = {}});
    }
    co_return result<>{};
}

// One line when looks begin to fail, however long that takes.
void host_life::note(const result<>& seen) {
    if (seen) {
        failing_ = false;
        return;
    }
    if (seen.error().code == errc::cancelled) {
        return;
    }
    ++counts_.failed_looks;
    if (!std::exchange(failing_, true)) {
        log::warning("EC2's metadata does not say whether this instance is to end",
                     {{"reason", seen.error().message}});
    }
}

task<result<>> host_life::find_hooks(deadline until) {
    if (hooks_.empty()) {
        auto found = co_await group_.termination_hooks(instance_id_, until);
        if (!found) {
            co_return propagate(found);
        }
        hooks_ = std::move(*found);
    }
    co_return result<>{};
}

// Until the drain is over; each time before half of what the shortest hook waits has passed.
task<void> host_life::keep_group_waiting() {
    seconds pause = heartbeat_timeout_min / 2;
    do {
        if (let_go_) {
            co_return;
        }
        if (auto found = co_await find_hooks(after(call_time_max)); !found) {
            log::warning("the Auto Scaling group cannot be asked to wait for the drain",
                         {{"reason", found.error().message}});
            continue;
        }
        if (hooks_.empty()) {
            co_return;  // it does not wait
        }
        pause = heartbeat_timeout_max;
        const auto hooks = hooks_;  // let_go() may find them anew meanwhile
        for (const auto& each : hooks) {
            pause = std::min(pause, std::clamp(each.heartbeat_timeout, heartbeat_timeout_min,
                                               heartbeat_timeout_max) /
                                        2);
            auto taken = co_await group_.record_heartbeat(each, instance_id_, after(call_time_max));
            counts_.heartbeats += taken ? 1 : 0;
            if (!taken && taken.error().code != errc::not_found) {
                log::warning("the Auto Scaling group did not take a heartbeat",
                             {{"hook", each.name}, {"reason", taken.error().message}});
            }
        }
    } while (co_await sleep_until(after(pause)));
}

task<result<>> host_life::let_go(deadline until) {
    if (instance_id_.empty()) {
        co_return result<>{};
    }
    if (!group_told_) {
        // A signal may come first when a host is shut down; the group then waits all the same.
        auto leaving = co_await is_leaving_group(until);
        if (!leaving || !*leaving) {
            co_return leaving ? result<>{} : propagate(leaving);
        }
    }
    if (auto found = co_await find_hooks(until); !found) {
        co_return found;
    }
    let_go_ = true;
    result<> outcome;
    const auto hooks = hooks_;
    for (const auto& each : hooks) {
        auto done = co_await group_.complete(each, instance_id_, until);
        if (!done && done.error().code != errc::not_found) {
            outcome = std::move(done);
            continue;
        }
        log::info("the Auto Scaling group may end this instance now",
                  {{"hook", each.name}, {"waited", done.has_value()}});
    }
    co_return outcome;
}

}  // namespace hearth::aws
