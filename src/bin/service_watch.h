#pragma once

#include <string>
#include <vector>

#include "coro/task.h"
#include "fleet_services.h"

namespace hearth {

// Asks every service now and then, so that /health can say at once which one is away. Ring thread
// only.
class service_watch {
public:
    static constexpr seconds interval{15};
    static constexpr seconds patience{5};  // of one question

    explicit service_watch(std::vector<service_probe> probes);

    // All services once, at the same time.
    task<void> look();
    // look() at each interval, until stopped.
    task<void> run();

    // "SQS: unavailable; S3: permission denied" of those that did not answer the last time, without
    // what they said, since anybody may read it; empty when all did.
    [[nodiscard]] std::string trouble() const;

private:
    struct watched {
        service_probe probe;
        std::string trouble;
    };
    static task<void> ask(watched& which);

    std::vector<watched> services_;
};

// The table of --check-config on standard output: each service, the rights that were tried, what
// came of it and how long it took. True when all is well.
task<bool> print_check(std::vector<service_probe> probes);

}  // namespace hearth
