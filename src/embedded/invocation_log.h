#pragma once

#include "embedded/database.h"
#include "embedded/time_source.h"
#include "faas/ports.h"

namespace hearth::embedded {

// Invocation records in SQLite, beside the jobs that have none yet. Of more than records_max the
// oldest that have ended go, some with each new one: expire() alone, which comes now and then,
// deletes fewer than a fast caller leaves. Times that a record leaves at 0 are filled in.
class invocation_log final : public faas::invocation_log {
public:
    // Some 4 GB of small ones; a day of 115 calls a second.
    static constexpr std::int64_t records_max_default = 10'000'000;
    // So many new ones come between two deletions; by so many there may be too many.
    static constexpr std::int64_t tidied_together = 64;

    // `db` outlives this.
    explicit invocation_log(database& db, std::int64_t records_max = records_max_default,
                            time_source now = steady_wall_clock());

    task<result<>> create(const faas::invocation_record& record, deadline until) override;
    task<result<>> mark_running(const faas::invocation_record& record, deadline until) override;
    task<result<bool>> finish(const faas::invocation_record& record, deadline until) override;
    task<result<bool>> finish_behind(const faas::invocation_record& record,
                                     deadline until) override;
    task<result<std::vector<bool>>> ended(std::vector<std::string> job_ids,
                                          deadline until) override;
    task<result<faas::invocation_record>> get(std::string_view job_id, deadline until) override;
    // In several short transactions; when `until` passes between them the count so far is returned.
    task<result<std::int64_t>> expire(epoch_ms before, deadline until) override;

private:
    task<result<bool>> store(const faas::invocation_record& record, deadline until, urgency how);

    database& db_;
    std::int64_t records_max_;
    time_source now_;
};

}  // namespace hearth::embedded
