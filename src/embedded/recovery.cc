#include "embedded/recovery.h"

namespace hearth::embedded {
namespace {

// By the jobs, of which there are few beside the records: IN would read all of these at each start.
// The steps in this order: what is off the queue must not be made visible, and only what has no job
// at the end is lost.
result<recovery_report> recover_now(connection& db, epoch_ms now) {
    recovery_report report;
    auto buried = db.execute(
        "UPDATE jobs SET state = 2, delivery = NULL WHERE state IN (0, 1) AND EXISTS"
        " (SELECT 1 FROM invocations WHERE invocations.job_id = jobs.job_id AND final = 1"
        " AND status = 'DEAD')");
    if (!buried) {
        return propagate(buried);
    }
    auto removed = db.execute(
        "DELETE FROM jobs WHERE state IN (0, 1) AND EXISTS (SELECT 1 FROM invocations"
        " WHERE invocations.job_id = jobs.job_id AND final = 1)");
    if (!removed) {
        return propagate(removed);
    }
    report.completed = *buried + *removed;
    auto redelivered = db.execute(
        "UPDATE jobs SET delivery = NULL, visible_at = ?1 WHERE state = 0 AND"
        " (delivery IS NOT NULL OR visible_at > ?1)",
        now);
    if (!redelivered) {
        return propagate(redelivered);
    }
    report.redelivered = *redelivered;
    auto requeued = db.execute(
        "UPDATE invocations SET status = 'QUEUED', updated_at = ?1 WHERE final = 0 AND"
        " status = 'RUNNING' AND job_id IN (SELECT job_id FROM jobs WHERE state = 0)",
        now);
    if (!requeued) {
        return propagate(requeued);
    }
    auto lost = db.execute(
        "UPDATE invocations SET status = 'FAILED', final = 1, updated_at = ?1, error_type = ?2,"
        " error_message = ?3 WHERE final = 0 AND"
        " NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.job_id = invocations.job_id)",
        now, host_lost, "the host stopped before this invocation ended; call it again");
    if (!lost) {
        return propagate(lost);
    }
    report.lost = *lost;
    return report;
}

}  // namespace

task<result<recovery_report>> recover(database& db, epoch_ms now, deadline until) {
    return db.write([now](connection& each) { return recover_now(each, now); }, until);
}

}  // namespace hearth::embedded
