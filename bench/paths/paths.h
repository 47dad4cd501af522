#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

namespace hearth::bench {

// What a warm call passes through in the event loop, in pieces that have no kernel in them: timed
// by bench/micro, and their instructions counted by tests/perf, so that both speak of the same
// work.
struct path {
    std::string_view name;
    // Once through; the answer only keeps the compiler from leaving it out.
    std::function<std::uint64_t()> run;
};

[[nodiscard]] std::span<const path> all_paths();

}  // namespace hearth::bench
