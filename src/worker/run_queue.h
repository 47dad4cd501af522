#pragma once

#include <optional>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace hearth::worker {

// How many tasks of the whole host run or wait for a processor, as a moving mean over some ten
// milliseconds: where they are more than the processors, whoever starts next waits as well. One
// thread.
class run_queue {
public:
    run_queue();

    // Of lately, without the one that asks; 0 where the host does not tell.
    [[nodiscard]] double mean(steady_time now);

private:
    [[nodiscard]] std::optional<double> look() const;

    unique_fd file_;
    steady_time looked_;
    double mean_ = 0;
};

}  // namespace hearth::worker
