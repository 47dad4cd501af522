#include "embedded/job_store.h"

#include <charconv>
#include <optional>

#include "base/concat.h"
#include "base/ids.h"

namespace hearth::embedded::job_store {
namespace {

// Jobs that one poll moves to the dead letters at most, so that its transaction stays short.
constexpr std::size_t dead_per_take_max = 100;

std::unexpected<error> void_receipt() {
    return fail(errc::not_found,
                "the receipt is void: the job was delivered again, released or settled");
}

bool parse_number(std::string_view text, std::int64_t& number) {
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    return parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
}

std::optional<receipt> parse(std::string_view text) {
    const std::size_t dot = text.find('.');
    receipt parsed;
    if (dot == std::string_view::npos || !parse_number(text.substr(0, dot), parsed.sequence) ||
        !parse_number(text.substr(dot + 1), parsed.delivery)) {
        return std::nullopt;
    }
    return parsed;
}

// Runs a statement whose ?1 and ?2 are the receipt and which changes the one job it names.
template <class... Values>
result<> change(connection& db, std::string_view text, const char* sql, const Values&... values) {
    const auto named = parse(text);
    if (!named) {
        return void_receipt();
    }
    auto changed = db.execute(sql, named->sequence, named->delivery, values...);
    if (!changed) {
        return propagate(changed);
    }
    return *changed == 1 ? result<>{} : void_receipt();
}

result<std::int64_t> number(statement query) {
    const auto row = query.step();
    if (!row) {
        return std::unexpected(row.error());
    }
    return *row && !query.is_null(0) ? query.integer(0) : 0;
}

result<epoch_ms> next_visible(connection& db) {
    statement earliest = db.query(
        "SELECT visible_at FROM jobs WHERE state = 0 ORDER BY visible_at, sequence LIMIT 1");
    const auto row = earliest.step();
    if (!row) {
        return std::unexpected(row.error());
    }
    return *row ? earliest.integer(0) : no_time;
}

result<std::string> event_of(connection& db, std::int64_t sequence) {
    statement rows = db.query("SELECT event FROM job_events WHERE sequence = ?1", sequence);
    const auto row = rows.step();
    if (!row) {
        return std::unexpected(row.error());
    }
    return rows.is_null(0) ? std::string{} : rows.text(0);
}

struct candidate {
    std::int64_t sequence = 0;
    faas::job_delivery delivery;
};

result<std::optional<candidate>> first_visible(connection& db, epoch_ms now) {
    statement rows = db.query(
        "SELECT sequence, job_id, request_id, function_id, attempts, caller_deadline FROM jobs"
        " WHERE state = 0 AND visible_at <= ?1 ORDER BY visible_at, sequence LIMIT 1",
        now);
    const auto row = rows.step();
    if (!row) {
        return std::unexpected(row.error());
    }
    if (!*row) {
        return std::nullopt;
    }
    candidate found;
    found.sequence = rows.integer(0);
    found.delivery.content.job_id = rows.text(1);
    found.delivery.content.request_id = rows.text(2);
    found.delivery.content.function_id = rows.text(3);
    found.delivery.attempts = rows.integer(4) + 1;
    found.delivery.content.caller_deadline = rows.integer(5);
    return found;
}

result<> deliver(connection& db, candidate& job, epoch_ms visible_at) {
    const auto nonce = static_cast<std::int64_t>(random_u64() >> 1);
    auto changed = db.execute(
        "UPDATE jobs SET attempts = ?2, visible_at = ?3, delivery = ?4 WHERE sequence = ?1",
        job.sequence, job.delivery.attempts, visible_at, nonce);
    if (!changed) {
        return propagate(changed);
    }
    auto event = event_of(db, job.sequence);
    if (!event) {
        return propagate(event);
    }
    job.delivery.content.event = std::move(*event);
    job.delivery.receipt = concat(job.sequence, ".", nonce);
    return {};
}

result<> forget_oldest_told(connection& db, std::int64_t dead_told_max) {
    const auto told = number(db.query("SELECT total FROM job_totals WHERE state = 2"));
    if (!told) {
        return std::unexpected(told.error());
    }
    if (*told <= dead_told_max) {
        return {};
    }
    auto removed = db.execute(
        "DELETE FROM jobs WHERE sequence IN"
        " (SELECT sequence FROM jobs WHERE state = 2 ORDER BY sequence LIMIT ?1)",
        *told - dead_told_max);
    return removed ? result<>{} : propagate(removed);
}

}  // namespace

result<> insert(connection& db, const faas::job& content, epoch_ms now, std::int64_t jobs_max) {
    // The dead that nobody was told of count as well: nothing else bounds them.
    const auto held = number(db.query("SELECT sum(total) FROM job_totals WHERE state IN (0, 1)"));
    if (!held) {
        return std::unexpected(held.error());
    }
    if (*held >= jobs_max) {
        return fail(errc::limit_exceeded,
                    concat("the job queue holds ", jobs_max, " jobs, the most: try again later"));
    }
    auto stored = db.execute(
        "INSERT INTO jobs (job_id, request_id, function_id, state, attempts, visible_at,"
        " caller_deadline) VALUES (?1, ?2, ?3, 0, 0, ?4, ?5)",
        content.job_id, content.request_id, content.function_id, now, content.caller_deadline);
    if (!stored) {
        if (stored.error().code == errc::conflict) {
            return fail(errc::conflict, concat("job ", content.job_id, " is queued already"));
        }
        return propagate(stored);
    }
    auto event = db.execute("INSERT INTO job_events (sequence, event) VALUES (?1, ?2)",
                            db.last_insert_id(), content.event);
    return event ? result<>{} : propagate(event);
}

result<taken> take(connection& db, std::size_t max, milliseconds visibility, epoch_ms now) {
    taken answer;
    std::size_t died = 0;
    while (answer.jobs.size() < max && died < dead_per_take_max) {
        auto found = first_visible(db, now);
        if (!found) {
            return propagate(found);
        }
        if (!*found) {
            break;
        }
        candidate& job = **found;
        if (job.delivery.attempts > faas::attempts_max) {
            auto buried = db.execute(
                "UPDATE jobs SET state = 1, delivery = NULL WHERE sequence = ?1", job.sequence);
            if (!buried) {
                return propagate(buried);
            }
            ++died;
            continue;
        }
        if (auto delivered = deliver(db, job, now + visibility.count()); !delivered) {
            return propagate(delivered);
        }
        answer.jobs.push_back(std::move(job.delivery));
    }
    auto next = next_visible(db);
    if (!next) {
        return propagate(next);
    }
    answer.next_visible = *next;
    return answer;
}

result<> hide_until(connection& db, std::string_view text, epoch_ms visible_at) {
    return change(db, text,
                  "UPDATE jobs SET visible_at = ?3"
                  " WHERE sequence = ?1 AND delivery = ?2 AND state = 0",
                  visible_at);
}

result<> remove(connection& db, std::string_view text) {
    return change(db, text, "DELETE FROM jobs WHERE sequence = ?1 AND delivery = ?2 AND state = 0");
}

result<> give_back(connection& db, std::string_view text, epoch_ms visible_at, bool count_attempt) {
    return change(db, text,
                  "UPDATE jobs SET visible_at = ?3, attempts = attempts - ?4, delivery = NULL"
                  " WHERE sequence = ?1 AND delivery = ?2 AND state = 0",
                  visible_at, count_attempt ? 0 : 1);
}

result<> bury(connection& db, std::string_view text, std::int64_t dead_told_max) {
    auto buried = change(db, text,
                         "UPDATE jobs SET state = 2, delivery = NULL"
                         " WHERE sequence = ?1 AND delivery = ?2 AND state = 0");
    return buried ? forget_oldest_told(db, dead_told_max) : buried;
}

result<std::vector<faas::job>> unsettled_dead(connection& db, std::size_t max) {
    statement rows = db.query(
        "SELECT job_id, request_id, function_id, event FROM jobs JOIN job_events USING (sequence)"
        " WHERE state = 1 ORDER BY sequence LIMIT ?1",
        max);
    std::vector<faas::job> dead;
    for (;;) {
        const auto row = rows.step();
        if (!row) {
            return std::unexpected(row.error());
        }
        if (!*row) {
            return dead;
        }
        dead.push_back({rows.text(0), rows.text(1), rows.text(2), rows.text(3)});
    }
}

result<> settle_dead(connection& db, std::string_view job_id, std::int64_t dead_told_max) {
    auto settled =
        db.execute("UPDATE jobs SET state = 2 WHERE job_id = ?1 AND state IN (1, 2)", job_id);
    if (!settled) {
        return propagate(settled);
    }
    if (*settled == 0) {
        return fail(errc::not_found, concat("no dead job has the id ", job_id));
    }
    return forget_oldest_told(db, dead_told_max);
}

result<faas::job_queue::depth> measure(connection& db, epoch_ms now) {
    // The totals cost nothing; only what is hidden now is counted, by its index.
    const auto live = number(db.query("SELECT total FROM job_totals WHERE state = 0"));
    const auto dead = number(db.query("SELECT sum(total) FROM job_totals WHERE state IN (1, 2)"));
    const auto out = number(db.query(
        "SELECT count(*) FROM jobs WHERE state = 0 AND visible_at > ?1 AND delivery IS NOT NULL",
        now));
    for (const auto* each : {&live, &dead, &out}) {
        if (!*each) {
            return std::unexpected(each->error());
        }
    }
    return faas::job_queue::depth{*live - *out, *out, *dead};
}

}  // namespace hearth::embedded::job_store
