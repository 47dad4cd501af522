#include "embedded/invocation_log.h"

#include <optional>
#include <utility>

#include "base/concat.h"
#include "base/ids.h"
#include "base/log.h"

namespace hearth::embedded {
namespace {

// Records that one transaction of expire() deletes: a record can carry megabytes.
constexpr std::int64_t expire_step = 200;

std::unexpected<error> no_such_job(std::string_view job_id) {
    return fail(errc::not_found, concat("no invocation has the job id ", job_id));
}

epoch_ms created_at_of(const faas::invocation_record& record, epoch_ms now) {
    return record.created_at != 0 ? record.created_at : time_of_uuid(record.job_id).value_or(now);
}

result<> insert(connection& db, const faas::invocation_record& record, epoch_ms now) {
    auto stored = db.execute(
        "INSERT INTO invocations (job_id, request_id, function_id, status, final, attempts,"
        " created_at, updated_at) VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7)",
        record.job_id, record.request_id, record.function_id, to_string(record.status),
        record.attempts, created_at_of(record, now),
        record.updated_at != 0 ? record.updated_at : now);
    if (stored) {
        return {};
    }
    if (stored.error().code == errc::conflict) {
        return fail(errc::conflict, concat("invocation ", record.job_id, " is recorded already"));
    }
    return propagate(stored);
}

// One statement decides who is first: the update applies to a record that is not final, and its
// count tells whether it did.
result<bool> store_outcome(connection& db, const faas::invocation_record& record, epoch_ms now) {
    const faas::outcome& end = record.end;
    auto changed = db.execute(
        "INSERT INTO invocations (job_id, request_id, function_id, status, final, attempts,"
        " created_at, updated_at, error_type, error_message, stack_trace, duration_ms, init_ms,"
        " cold_start, memory_mb_peak, not_started, result, logs, cpu_ms)"
        " VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"
        " ?18)"
        " ON CONFLICT (job_id) DO UPDATE SET status = excluded.status, final = 1,"
        " attempts = excluded.attempts, updated_at = excluded.updated_at,"
        " error_type = excluded.error_type, error_message = excluded.error_message,"
        " stack_trace = excluded.stack_trace, duration_ms = excluded.duration_ms,"
        " init_ms = excluded.init_ms, cold_start = excluded.cold_start,"
        " memory_mb_peak = excluded.memory_mb_peak, not_started = excluded.not_started,"
        " result = excluded.result, logs = excluded.logs, cpu_ms = excluded.cpu_ms"
        " WHERE final = 0",
        record.job_id, record.request_id, record.function_id, to_string(record.status),
        record.attempts, created_at_of(record, now),
        record.updated_at != 0 ? record.updated_at : now, end.error_type, end.error_message,
        end.stack_trace_json, end.duration_ms, end.init_ms, end.cold_start, end.memory_mb_peak,
        end.not_started, end.result_json, end.logs, end.cpu_ms);
    if (!changed) {
        return propagate(changed);
    }
    return *changed == 1;
}

result<> set_running(connection& db, const faas::invocation_record& record, epoch_ms now) {
    auto changed = db.execute(
        "INSERT INTO invocations (job_id, request_id, function_id, status, final, attempts,"
        " created_at, updated_at) VALUES (?1, ?2, ?3, 'RUNNING', 0, ?4, ?5, ?6)"
        " ON CONFLICT (job_id) DO UPDATE SET status = 'RUNNING', attempts = excluded.attempts,"
        " updated_at = excluded.updated_at WHERE final = 0",
        record.job_id, record.request_id, record.function_id, record.attempts,
        created_at_of(record, now), now);
    if (!changed) {
        return propagate(changed);
    }
    if (*changed == 0) {
        return fail(errc::conflict, concat("invocation ", record.job_id, " has ended already"));
    }
    return {};
}

// A job that has not begun is known by the queue alone. Read before the records: a job leaves the
// queue after its outcome stands.
result<std::optional<faas::invocation_record>> read_queued(connection& db,
                                                           std::string_view job_id) {
    statement row = db.query(
        "SELECT request_id, function_id FROM jobs WHERE job_id = ?1 AND state <> 2", job_id);
    const auto found = row.step();
    if (!found) {
        return std::unexpected(found.error());
    }
    if (!*found) {
        return std::nullopt;
    }
    faas::invocation_record record;
    record.job_id = job_id;
    record.request_id = row.text(0);
    record.function_id = row.text(1);
    record.created_at = record.updated_at = time_of_uuid(job_id).value_or(0);
    return record;
}

result<faas::invocation_record> read_record(connection& db, std::string_view job_id) {
    auto queued = read_queued(db, job_id);
    if (!queued) {
        return propagate(queued);
    }
    statement row = db.query(
        "SELECT job_id, request_id, function_id, status, attempts, created_at, updated_at,"
        " error_type, error_message, stack_trace, duration_ms, init_ms, cold_start,"
        " memory_mb_peak, not_started, result, logs, cpu_ms FROM invocations WHERE job_id = ?1",
        job_id);
    const auto found = row.step();
    if (!found) {
        return std::unexpected(found.error());
    }
    if (!*found) {
        return *queued ? result<faas::invocation_record>(std::move(**queued)) : no_such_job(job_id);
    }
    faas::invocation_record record;
    record.job_id = row.text(0);
    record.request_id = row.text(1);
    record.function_id = row.text(2);
    if (!faas::status_from_string(row.text(3), record.status)) {
        return fail(errc::corrupt, concat("the stored invocation ", job_id,
                                          " has no valid status: restore the database from a "
                                          "backup"));
    }
    record.attempts = row.integer(4);
    record.created_at = row.integer(5);
    record.updated_at = row.integer(6);
    record.end.status = record.status;
    record.end.error_type = row.text(7);
    record.end.error_message = row.text(8);
    record.end.stack_trace_json = row.text(9);
    record.end.duration_ms = row.real(10);
    record.end.init_ms = row.real(11);
    record.end.cold_start = row.integer(12) != 0;
    record.end.memory_mb_peak = row.integer(13);
    record.end.not_started = row.integer(14) != 0;
    record.end.result_json = row.text(15);
    record.end.logs = row.text(16);
    record.end.cpu_ms = row.real(17);
    return record;
}

result<std::vector<bool>> which_ended(connection& db, const std::vector<std::string>& job_ids) {
    std::vector<bool> ended;
    for (const std::string& each : job_ids) {
        statement row = db.query("SELECT final FROM invocations WHERE job_id = ?1", each);
        const auto found = row.step();
        if (!found) {
            return std::unexpected(found.error());
        }
        ended.push_back(*found && row.integer(0) != 0);
    }
    return ended;
}

// The newest `most` stay, and what has not ended. By their sequence, which needs no counting.
void forget_oldest(connection& db, std::int64_t newest, std::int64_t most) {
    // More than come meanwhile, so that a log over its limit comes down to it.
    constexpr std::int64_t deleted_max = 2 * invocation_log::tidied_together;
    if (newest <= most || newest % invocation_log::tidied_together != 0) {
        return;
    }
    auto removed = db.execute(
        "DELETE FROM invocations WHERE sequence IN (SELECT sequence FROM invocations"
        " WHERE sequence <= ?1 AND final = 1 ORDER BY sequence LIMIT ?2)",
        newest - most, deleted_max);
    if (!removed) {  // and undone; the next time it is tried again
        log::warning("the oldest records stay", {{"reason", removed.error().message}});
    }
}

// Runs what may insert a record. Whether it did, the connection's last insert tells, which is of
// any table.
template <class Statement>
auto inserting(connection& db, std::int64_t most, Statement run) {
    db.forget_last_insert_id();
    auto done = run();
    forget_oldest(db, db.last_insert_id(), most);
    return done;
}

}  // namespace

invocation_log::invocation_log(database& db, std::int64_t records_max, time_source now)
    : db_(db), records_max_(records_max), now_(std::move(now)) {}

task<result<>> invocation_log::create(const faas::invocation_record& record, deadline until) {
    return db_.write(
        [&record, now = now_(), most = records_max_](connection& db) -> result<> {
            if (is_final(record.status)) {
                return fail(errc::invalid_argument, "a record begins as queued or running");
            }
            return inserting(db, most, [&] { return insert(db, record, now); });
        },
        until);
}

task<result<>> invocation_log::mark_running(const faas::invocation_record& record, deadline until) {
    return db_.write(
        [&record, now = now_(), most = records_max_](connection& db) {
            return inserting(db, most, [&] { return set_running(db, record, now); });
        },
        until);
}

task<result<bool>> invocation_log::finish(const faas::invocation_record& record, deadline until) {
    return store(record, until, urgency::awaited);
}

task<result<bool>> invocation_log::finish_behind(const faas::invocation_record& record,
                                                 deadline until) {
    return store(record, until, urgency::behind);
}

task<result<bool>> invocation_log::store(const faas::invocation_record& record, deadline until,
                                         urgency how) {
    return db_.write(
        [&record, now = now_(), most = records_max_](connection& db) -> result<bool> {
            if (!is_final(record.status)) {
                return fail(errc::invalid_argument,
                            "an invocation finishes as succeeded, failed or dead");
            }
            return inserting(db, most, [&] { return store_outcome(db, record, now); });
        },
        until, {.when = how, .undoes_itself = true});
}

task<result<std::vector<bool>>> invocation_log::ended(std::vector<std::string> job_ids,
                                                      deadline until) {
    return db_.read([ids = std::move(job_ids)](connection& db) { return which_ended(db, ids); },
                    until);
}

task<result<faas::invocation_record>> invocation_log::get(std::string_view job_id, deadline until) {
    return db_.read([job_id](connection& db) { return read_record(db, job_id); }, until);
}

task<result<std::int64_t>> invocation_log::expire(epoch_ms before, deadline until) {
    std::int64_t total = 0;
    for (;;) {
        auto removed = co_await db_.write(
            [before](connection& db) {
                return db.execute(
                    "DELETE FROM invocations WHERE sequence IN (SELECT sequence FROM invocations"
                    " WHERE final = 1 AND updated_at < ?1 ORDER BY updated_at LIMIT ?2)",
                    before, expire_step);
            },
            until);
        if (!removed && total == 0) {
            co_return propagate(removed);
        }
        total += removed ? *removed : 0;
        if (!removed || *removed < expire_step) {
            co_return total;
        }
    }
}

}  // namespace hearth::embedded
