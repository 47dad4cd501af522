#pragma once

#include "base/result.h"
#include "embedded/sqlite.h"

// The tables of the one database file and their version, kept in SQLite's user_version. A newer
// Hearth raises an older file step by step, each step in a transaction of its own; an older Hearth
// refuses a newer file.

namespace hearth::embedded {

// "HRTH": marks the file as Hearth's (SQLite's application_id, at byte 68 of its header).
inline constexpr std::int64_t application_id = 0x48525448;
inline constexpr std::int64_t schema_version = 4;

// jobs.state.
enum class job_state : std::uint8_t {
    live = 0,       // to be delivered, or delivered and not yet settled
    dead = 1,       // in the dead letters; its invocation record does not say so yet
    dead_told = 2,  // in the dead letters and recorded
};

// Creates or raises the tables. errc::corrupt for another program's file, errc::invalid_argument
// for one that a newer Hearth wrote.
[[nodiscard]] result<> prepare_schema(connection& db);

}  // namespace hearth::embedded
