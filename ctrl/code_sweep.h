#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "faas/ports.h"

namespace hearth::ctrl {

struct code_sweep_options {
    // Code that was stored within this time stays: its function may be about to be written. Longer
    // than an upload takes, clocks that disagree included. 0 where none can come meanwhile.
    milliseconds grace{86'400'000};
    // Code goes when so many runs in a row have found it unused. 2: whoever still starts a revision
    // that was replaced has the time between two runs to fetch its code.
    int looks = 2;
    milliseconds interval{3'600'000};
    std::size_t removals_max = 1'000;  // of one run; the rest is the next one's
    // Code that is held against the functions at once, for each of which all are read; and of what
    // is unused as many as are remembered until the next run.
    std::size_t part_max = 100'000;
    std::function<epoch_ms()> now = wall_clock_ms;
};

// Removes code that no function uses any more. It may run in several controllers at once: removing
// twice is removing, and what is uploaded anew is young again. Home ring only.
class code_sweep {
public:
    struct statistics {
        std::uint64_t runs = 0;
        std::uint64_t failed = 0;   // runs that did not come to their end
        std::uint64_t removed = 0;  // since the start
        std::size_t unused = 0;     // old enough, as the last run found
    };

    // Both outlive it.
    code_sweep(faas::function_table& functions, faas::code_store& code, code_sweep_options options);

    // Now and then until stopped, first after a random part of the interval: controllers that
    // start together do not sweep together.
    task<void> run();
    // One run; how many were removed.
    task<result<std::size_t>> sweep(deadline until);

    [[nodiscard]] const statistics& counts() const noexcept { return counts_; }

private:
    struct part {
        std::vector<std::string> old;
        std::string last;  // that was looked at
        bool ends = false;
    };

    task<result<part>> old_code_after(std::string last, deadline until);
    task<result<std::unordered_set<std::string>>> code_in_use(deadline until);
    task<result<bool>> remove_if_old(const std::string& sha256, deadline until);
    void note(const result<std::size_t>& swept);

    faas::function_table& functions_;
    faas::code_store& code_;
    code_sweep_options options_;
    std::unordered_map<std::string, int> unused_;  // by hash: runs in a row that found it so
    bool failing_ = false;
    statistics counts_;
};

}  // namespace hearth::ctrl
