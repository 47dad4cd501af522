#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "faas/worker_report.h"
#include "http/client.h"

namespace hearth::worker {

struct heartbeat_options {
    std::string controller_url;     // "http://controller:8080", without a path
    std::string token;              // WORKER_TOKEN
    milliseconds interval{10'000};  // until the controller tells another one
};

// Tells the controller every few seconds that this worker lives, and what it holds. A controller
// that cannot be reached changes nothing here: jobs come through the queue. Its answer says how
// often it wants to hear, and which functions have changed. Ring thread only.
class heartbeat {
public:
    // What a controller may ask for; anything else is taken for the nearer of the two.
    static constexpr milliseconds interval_min{100};
    static constexpr milliseconds interval_max{60'000};

    struct statistics {
        std::uint64_t sent = 0;    // that the controller took
        std::uint64_t failed = 0;  // that it did not take, or that did not reach it
    };

    using retire_function =
        std::function<void(std::string_view function_id, std::int64_t current_revision)>;

    // `web` outlives it and is running; `look` makes the report of the moment; `retire` hears of
    // functions that were updated, or deleted (revision 0), more than once of each.
    heartbeat(http::client& web, heartbeat_options options,
              std::function<faas::worker_report()> look, retire_function retire);

    // The first at once, until stopped.
    task<void> run();
    // One now, out of turn: when what the worker tells has changed for good (draining).
    task<result<>> beat(deadline until);
    // Says that this worker is gone, so that nobody waits for it to be missed.
    task<result<>> leave(deadline until);

    // Whether the last heartbeat was taken.
    [[nodiscard]] bool reached() const noexcept { return reached_; }
    [[nodiscard]] const statistics& counts() const noexcept { return counts_; }

private:
    task<result<std::string>> send(std::string method, std::string path, std::string body,
                                   deadline until);
    void note(const result<>& sent);
    result<> obey(std::string_view answer);

    http::client& web_;
    heartbeat_options options_;
    std::function<faas::worker_report()> look_;
    retire_function retire_;
    bool reached_ = false;
    bool warned_ = false;
    statistics counts_;
};

}  // namespace hearth::worker
