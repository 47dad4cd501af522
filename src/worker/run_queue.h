#pragma once

#include <cstddef>
#include <optional>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace hearth::worker {

// How many tasks of the whole host run or wait for a processor, as a moving mean over some ten
// milliseconds, however often it is asked: where they are more than the processors, whoever starts
// next waits as well. One thread.
class run_queue {
public:
    // `processors` of the host's are ours. In a container they may be a few of many while the
    // kernel counts everybody's tasks: then so many are taken to want ours as if all were spread
    // evenly.
    explicit run_queue(std::size_t processors, std::size_t of_host = online_processors());

    // Those that want our processors, of lately, without the one that asks; 0 where the host does
    // not tell.
    [[nodiscard]] double mean(steady_time now);

private:
    [[nodiscard]] static std::size_t online_processors() noexcept;
    [[nodiscard]] std::optional<double> look() const;

    unique_fd file_;
    double our_share_;  // of the host's processors
    steady_time looked_;
    double mean_ = 0;
};

}  // namespace hearth::worker
