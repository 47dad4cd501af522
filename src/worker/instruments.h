#pragma once

#include <array>

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "faas/invocation.h"
#include "worker/dispatcher.h"
#include "worker/sandbox_manager.h"
#include "worker/violations.h"

namespace hearth::worker {

// The worker's metrics; docs/operations.md lists them. Ring thread only.
class instruments {
public:
    explicit instruments(prometheus::Registry& registry);

    void count_refusal() { refused_.Increment(); }
    void count_end(const faas::outcome& end);
    void count_cold_start(double init_ms);
    void count_violation(violation kind) {
        violations_[static_cast<std::size_t>(kind)]->Increment();
    }
    // Before /metrics is written.
    void refresh(const dispatcher& dispatch, const made_ahead& ahead, std::size_t code_bytes);

private:
    prometheus::Registry& registry_;
    prometheus::Counter& succeeded_;
    prometheus::Counter& failed_;
    prometheus::Counter& refused_;
    prometheus::Counter& cold_starts_;
    prometheus::Histogram& duration_;
    prometheus::Histogram& init_;
    std::array<prometheus::Counter*, static_cast<std::size_t>(faas::failure_kind_last) + 1>
        failures_;
    std::array<prometheus::Counter*, violation_count> violations_;
};

}  // namespace hearth::worker
