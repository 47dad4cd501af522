#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "embedded/sqlite.h"
#include "faas/ports.h"

// What the job queue does inside one transaction. Runs on the database's threads; no state.

namespace hearth::embedded::job_store {

// Later than any time.
inline constexpr epoch_ms no_time = std::numeric_limits<epoch_ms>::max();

struct receipt {
    std::int64_t sequence = 0;
    std::int64_t delivery = 0;
};

struct taken {
    std::vector<faas::job_delivery> jobs;
    epoch_ms next_visible = no_time;  // of all live jobs, these included
};

[[nodiscard]] result<> insert(connection& db, const faas::job& content, epoch_ms now,
                              std::int64_t jobs_max);

// Takes up to `max` visible jobs; those with no attempt left move to the dead letters.
[[nodiscard]] result<taken> take(connection& db, std::size_t max, milliseconds visibility,
                                 epoch_ms now);

// errc::not_found when the receipt is void or malformed; so do all that take a receipt.
[[nodiscard]] result<> hide_until(connection& db, std::string_view text, epoch_ms visible_at);
[[nodiscard]] result<> remove(connection& db, std::string_view text);
[[nodiscard]] result<> give_back(connection& db, std::string_view text, epoch_ms visible_at,
                                 bool count_attempt);
[[nodiscard]] result<> bury(connection& db, std::string_view text, std::int64_t dead_told_max);

[[nodiscard]] result<std::vector<faas::job>> unsettled_dead(connection& db, std::size_t max);
[[nodiscard]] result<> settle_dead(connection& db, std::string_view job_id,
                                   std::int64_t dead_told_max);
[[nodiscard]] result<faas::job_queue::depth> measure(connection& db, epoch_ms now);

}  // namespace hearth::embedded::job_store
