#pragma once

#include <memory>

#include <benchmark/benchmark.h>

#include "base/check.h"
#include "uring/ring.h"

namespace hearth::bench {

// Runs `body(state)`, a coroutine that holds the measuring loop, on a ring of its own.
inline void on_ring(benchmark::State& state, task<> (*body)(benchmark::State&)) {
    auto loop = uring::ring::create();
    HEARTH_CHECK(loop, "no ring: see the message that hearth itself gives");
    (*loop)->run(body(state));
}

}  // namespace hearth::bench
