#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "coro/scope.h"
#include "coro/thread_pool.h"
#include "lane/byte_budget.h"
#include "net/tls.h"
#include "worker/lane_endpoint.h"
#include "worker/lane_link.h"

namespace hearth::worker {

struct lane_client_options {
    lane_endpoint controller;
    std::string token;                            // WORKER_TOKEN
    std::string worker_id;                        // one per start; a well-formed id
    std::shared_ptr<const net::tls_context> tls;  // for tls://
    // Between attempts to connect: at random between nothing and this, doubled with each failure,
    // so that a fleet does not come back all at once.
    milliseconds pause_base{1'000};
    milliseconds pause_max{30'000};
    std::size_t event_bytes_max = 64u << 20;  // of events that arrive
    lane::connection_options connection;
    // Of calls that lose their lane while they run; null: nobody records these. Outlives the
    // client.
    lane_recorder* recorder = nullptr;
};

struct lane_client_statistics {
    std::uint64_t connected = 0;  // lanes that the controller welcomed
    std::uint64_t failed = 0;     // attempts that came to nothing
};

// Keeps a lane to the controller open and runs what comes over it. A controller that cannot be
// reached changes nothing else here: jobs come through the queue. Ring thread only.
class lane_client {
public:
    // `invoker`, `host` and `lookups` outlive it.
    lane_client(faas::invoker& invoker, lane_host& host, thread_pool& lookups,
                lane_client_options options);
    ~lane_client();

    // Connects again and again until finish(), or a stop.
    task<void> run();
    // Serves one lane over a stream that is there already, and returns how it ended.
    task<error> serve(std::unique_ptr<net::stream> link);

    // The host's window() has changed.
    void capacity_changed();
    // Takes the credits back: no new calls from now on; what is on its way is refused.
    void refuse_new();
    // After refuse_new(): waits until every call is answered, or `until`, says goodbye and ends
    // run(). Calls that go on without a lane are awaited too: their invoker ends them, and their
    // outcomes are recorded within one try.
    task<void> finish(deadline until);

    [[nodiscard]] bool connected() const noexcept { return link_ != nullptr && link_->greeted(); }
    // On the lane, running or about to.
    [[nodiscard]] std::size_t calls() const noexcept {
        return link_ == nullptr ? 0 : link_->calls();
    }
    [[nodiscard]] const lane_client_statistics& statistics() const noexcept { return statistics_; }

private:
    void note(const error& why, std::optional<lane::goodbye_reason> farewell);

    faas::invoker& invoker_;
    lane_host& host_;
    thread_pool& lookups_;
    lane_client_options options_;
    lane::byte_budget events_;
    scope calls_;
    lane_link* link_ = nullptr;
    bool draining_ = false;
    bool finishing_ = false;
    bool warned_ = false;
    wait_list finish_began_;
    wait_list link_ended_;
    wait_list answered_;
    lane_client_statistics statistics_;
};

}  // namespace hearth::worker
