#include "embedded/schema.h"

#include <array>

#include "base/concat.h"

namespace hearth::embedded {
namespace {

// Step n raises version n to n + 1. A step that has been released never changes.
//
// The event of a job stands beside the job, not in it: SQLite writes a changed row anew with all
// its bytes, and a job's row changes with every delivery. The jobs' totals are kept by triggers,
// hence exact in every transaction, because counting a full queue costs a millisecond.
constexpr std::array<const char*, schema_version> steps{R"sql(
CREATE TABLE functions (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    runtime TEXT NOT NULL,
    handler TEXT NOT NULL,
    handlers TEXT NOT NULL,
    memory_mb INTEGER NOT NULL,
    timeout_ms INTEGER NOT NULL,
    env TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('python_file', 'zip')),
    code_file TEXT NOT NULL,
    code_sha256 TEXT NOT NULL,
    code_size INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE jobs (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL UNIQUE,
    request_id TEXT NOT NULL,
    function_id TEXT NOT NULL,
    state INTEGER NOT NULL CHECK (state IN (0, 1, 2)),
    attempts INTEGER NOT NULL,
    visible_at INTEGER NOT NULL,
    delivery INTEGER
) STRICT;
CREATE INDEX jobs_live ON jobs (visible_at, sequence) WHERE state = 0;
CREATE INDEX jobs_dead ON jobs (sequence) WHERE state = 1;
CREATE INDEX jobs_dead_told ON jobs (sequence) WHERE state = 2;

CREATE TABLE job_events (
    sequence INTEGER PRIMARY KEY REFERENCES jobs (sequence) ON DELETE CASCADE,
    event TEXT NOT NULL
) STRICT;

CREATE TABLE job_totals (
    state INTEGER PRIMARY KEY,
    total INTEGER NOT NULL CHECK (total >= 0)
) STRICT;
INSERT INTO job_totals VALUES (0, 0), (1, 0), (2, 0);
CREATE TRIGGER jobs_added AFTER INSERT ON jobs BEGIN
    UPDATE job_totals SET total = total + 1 WHERE state = NEW.state;
END;
CREATE TRIGGER jobs_removed AFTER DELETE ON jobs BEGIN
    UPDATE job_totals SET total = total - 1 WHERE state = OLD.state;
END;
CREATE TRIGGER jobs_moved AFTER UPDATE OF state ON jobs WHEN NEW.state <> OLD.state BEGIN
    UPDATE job_totals SET total = total - 1 WHERE state = OLD.state;
    UPDATE job_totals SET total = total + 1 WHERE state = NEW.state;
END;

CREATE TABLE invocations (
    sequence INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL UNIQUE,
    request_id TEXT NOT NULL,
    function_id TEXT NOT NULL,
    status TEXT NOT NULL,
    final INTEGER NOT NULL CHECK (final IN (0, 1)),
    attempts INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    error_type TEXT NOT NULL DEFAULT '',
    error_message TEXT NOT NULL DEFAULT '',
    stack_trace TEXT NOT NULL DEFAULT '[]',
    duration_ms REAL NOT NULL DEFAULT 0,
    init_ms REAL NOT NULL DEFAULT 0,
    cold_start INTEGER NOT NULL DEFAULT 0,
    memory_mb_peak INTEGER NOT NULL DEFAULT 0,
    not_started INTEGER NOT NULL DEFAULT 0,
    result TEXT NOT NULL DEFAULT '',
    logs TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX invocations_final ON invocations (updated_at) WHERE final = 1;
CREATE INDEX invocations_open ON invocations (job_id) WHERE final = 0;

CREATE TABLE invocation_total (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    total INTEGER NOT NULL CHECK (total >= 0)
) STRICT;
INSERT INTO invocation_total VALUES (1, 0);
CREATE TRIGGER invocations_added AFTER INSERT ON invocations BEGIN
    UPDATE invocation_total SET total = total + 1;
END;
CREATE TRIGGER invocations_removed AFTER DELETE ON invocations BEGIN
    UPDATE invocation_total SET total = total - 1;
END;

PRAGMA application_id = 1213355080;
PRAGMA user_version = 1;
)sql",
                                                        R"sql(
ALTER TABLE invocations ADD COLUMN cpu_ms REAL NOT NULL DEFAULT 0;
PRAGMA user_version = 2;
)sql",
                                                        R"sql(
ALTER TABLE jobs ADD COLUMN caller_deadline INTEGER NOT NULL DEFAULT 0;
PRAGMA user_version = 3;
)sql",
                                                        // They cost a record more than half of what
                                                        // its insertion costs without them.
                                                        R"sql(
DROP TRIGGER invocations_added;
DROP TRIGGER invocations_removed;
DROP TABLE invocation_total;
PRAGMA user_version = 4;
)sql"};
static_assert(application_id == 1213355080);

result<std::int64_t> read_number(connection& db, const char* sql) {
    statement query = db.query(sql);
    const auto row = query.step();
    if (!row) {
        return std::unexpected(row.error());
    }
    return *row ? query.integer(0) : 0;
}

result<> raise_by_one(connection& db, const char* step) {
    if (auto begun = db.run_script("BEGIN IMMEDIATE"); !begun) {
        return begun;
    }
    auto raised = db.run_script(step);
    if (raised) {
        raised = db.run_script("COMMIT");
    }
    if (!raised && db.in_transaction()) {
        if (auto undone = db.run_script("ROLLBACK"); !undone) {
            raised.error().message += "; " + undone.error().message;
        }
    }
    return raised;
}

}  // namespace

result<> prepare_schema(connection& db) {
    const auto owner = read_number(db, "PRAGMA application_id");
    const auto version = read_number(db, "PRAGMA user_version");
    const auto tables = read_number(db, "SELECT count(*) FROM sqlite_schema");
    for (const auto* each : {&owner, &version, &tables}) {
        if (!*each) {
            return std::unexpected(each->error());
        }
    }
    const bool fresh = *owner == 0 && *version == 0 && *tables == 0;
    if (!fresh && *owner != application_id) {
        return fail(errc::corrupt, concat("database ", db.path(),
                                          " belongs to another program; choose another data "
                                          "directory"));
    }
    if (*version > schema_version) {
        return fail(errc::invalid_argument,
                    concat("database ", db.path(), " was written by a newer Hearth (schema ",
                           *version, ", this one knows ", schema_version,
                           "); install that version again, or choose another data directory"));
    }
    for (auto step = static_cast<std::size_t>(*version); step < steps.size(); ++step) {
        if (auto raised = raise_by_one(db, steps[step]); !raised) {
            return raised;
        }
    }
    return {};
}

}  // namespace hearth::embedded
