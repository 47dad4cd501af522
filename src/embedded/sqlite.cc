#include "embedded/sqlite.h"

#include <cerrno>
#include <utility>

#include <fcntl.h>

#include "base/check.h"
#include "base/concat.h"
#include "base/unique_fd.h"

namespace hearth::embedded {
namespace {

// How long a statement waits for a lock that another program (a shell, a backup) holds.
constexpr int busy_timeout_ms = 5'000;

struct explanation {
    errc code;
    std::string_view remedy;
};

explanation explain(int status, int os_error) {
    if (os_error == ENOSPC || os_error == EDQUOT) {
        status = SQLITE_FULL;
    }
    switch (status & 0xff) {
        case SQLITE_CONSTRAINT:
            return {errc::conflict, ""};
        case SQLITE_FULL:
            return {errc::unavailable, "; the disk is full: free space on its volume"};
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return {errc::unavailable, "; another program holds a lock on it: end that program"};
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return {errc::corrupt,
                    "; it is damaged or not a database: restore it from a backup, or move it away "
                    "to start empty"};
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_AUTH:
            return {errc::permission_denied,
                    "; make the file and its folder writable for the user that runs Hearth"};
        case SQLITE_CANTOPEN:
            return {errc::io, "; check that its folder exists and is writable"};
        case SQLITE_IOERR:
            return {errc::io, "; the disk reported an error: check it and the kernel's log"};
        case SQLITE_TOOBIG:
            return {errc::too_large, ""};
        default:
            return {errc::internal, ""};
    }
}

error make_error(const std::string& path, int status, int os_error, std::string_view detail) {
    const auto [code, remedy] = explain(status, os_error);
    return {code, concat("database ", path, ": ", detail, remedy), os_error};
}

}  // namespace

statement::statement(statement&& other) noexcept
    : owner_(other.owner_),
      prepared_(std::exchange(other.prepared_, nullptr)),
      status_(other.status_) {}

statement::~statement() {
    if (prepared_ != nullptr) {
        sqlite3_reset(prepared_->handle);
        sqlite3_clear_bindings(prepared_->handle);
        prepared_->in_use = false;
    }
}

void statement::keep(int status) noexcept {
    if (status_ == SQLITE_OK) {
        status_ = status;
    }
}

void statement::bind(int index, std::string_view text) {
    if (prepared_ != nullptr) {
        // A null pointer would bind NULL; an empty view may carry one.
        const char* bytes = text.data() != nullptr ? text.data() : "";
        keep(sqlite3_bind_text64(prepared_->handle, index, bytes, text.size(), SQLITE_STATIC,
                                 SQLITE_UTF8));
    }
}

void statement::bind(int index, double number) {
    if (prepared_ != nullptr) {
        keep(sqlite3_bind_double(prepared_->handle, index, number));
    }
}

void statement::bind_integer(int index, std::int64_t number) {
    if (prepared_ != nullptr) {
        keep(sqlite3_bind_int64(prepared_->handle, index, number));
    }
}

result<bool> statement::step() {
    if (status_ != SQLITE_OK || prepared_ == nullptr) {
        return std::unexpected(owner_.describe(status_));
    }
    const int status = sqlite3_step(prepared_->handle);
    if (status == SQLITE_ROW) {
        return true;
    }
    if (status == SQLITE_DONE) {
        return false;
    }
    return std::unexpected(owner_.describe(status));
}

std::int64_t statement::integer(int column) const {
    return sqlite3_column_int64(prepared_->handle, column);
}

double statement::real(int column) const {
    return sqlite3_column_double(prepared_->handle, column);
}

std::string statement::text(int column) const {
    const auto* bytes = sqlite3_column_text(prepared_->handle, column);
    const int size = sqlite3_column_bytes(prepared_->handle, column);
    if (bytes == nullptr) {
        return {};
    }
    return {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)};
}

bool statement::is_null(int column) const {
    return sqlite3_column_type(prepared_->handle, column) == SQLITE_NULL;
}

result<std::unique_ptr<connection>> connection::open(const std::string& path) {
    // Its counts of memory take a lock for each allocation. Refused, and no matter, if something
    // else in the process has used SQLite before.
    [[maybe_unused]] static const int uncounted = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    // The file holds the functions' environments: made here for its owner alone, which SQLite's own
    // -wal and -shm files then copy.
    const unique_fd created(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!created) {
        auto failed = fail_errno(concat("database ", path), errno);
        failed.error().message += "; check that its folder exists and is writable";
        return failed;
    }
    sqlite3* handle = nullptr;
    // NOMUTEX: a connection is used by one thread at a time.
    const int status = sqlite3_open_v2(
        path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
        nullptr);
    std::unique_ptr<connection> opened(new connection(handle, path));
    if (status != SQLITE_OK) {
        return std::unexpected(opened->describe(status));
    }
    if (auto configured = opened->configure(); !configured) {
        return propagate(configured);
    }
    return opened;
}

connection::~connection() {
    for (auto& [sql, prepared] : statements_) {
        HEARTH_CHECK(!prepared.in_use, "database connection closed with a statement in use");
        sqlite3_finalize(prepared.handle);
    }
    sqlite3_close(handle_);
}

result<> connection::configure() {
    sqlite3_busy_timeout(handle_, busy_timeout_ms);
    if (sqlite3_db_readonly(handle_, "main") == 1) {
        return std::unexpected(describe(SQLITE_READONLY));
    }
    {
        statement mode = query("PRAGMA journal_mode = WAL");
        const auto row = mode.step();
        if (!row) {
            return std::unexpected(row.error());
        }
        if (!*row || mode.text(0) != "wal") {
            return fail(errc::unavailable,
                        concat("database ", path_,
                               ": its file system cannot carry a write-ahead log (shared memory); "
                               "use a local disk"));
        }
    }
    return run_script(
        "PRAGMA synchronous = FULL;"
        "PRAGMA foreign_keys = ON;"
        // In KiB: the working set is the newest rows and the indexes' edges; the kernel caches
        // the rest.
        "PRAGMA cache_size = -512;"
        "PRAGMA temp_store = MEMORY;"
        "PRAGMA trusted_schema = OFF;"
        "PRAGMA cell_size_check = ON;"
        "PRAGMA journal_size_limit = 67108864;");
}

result<> connection::make_read_only() {
    return run_script("PRAGMA query_only = ON");
}

statement connection::prepare(const char* sql) {
    auto found = statements_.find(sql);
    if (found == statements_.end()) {
        sqlite3_stmt* handle = nullptr;
        const int status =
            sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
        if (status != SQLITE_OK) {
            return {*this, nullptr, status};
        }
        found = statements_.emplace(sql, statement::cached{handle, false}).first;
    }
    HEARTH_CHECK(!found->second.in_use, "a prepared statement is used twice at once");
    found->second.in_use = true;
    return {*this, &found->second, SQLITE_OK};
}

result<std::int64_t> connection::run(statement& prepared) {
    for (;;) {
        const auto row = prepared.step();
        if (!row) {
            return std::unexpected(row.error());
        }
        if (!*row) {
            return sqlite3_changes64(handle_);
        }
    }
}

result<> connection::run_script(const char* sql) {
    const int status = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
    if (status != SQLITE_OK) {
        return std::unexpected(describe(status));
    }
    return {};
}

error connection::describe(int status) const {
    // errmsg belongs to the latest call; a status that was kept from before is named by itself.
    const bool latest = handle_ != nullptr && sqlite3_extended_errcode(handle_) == status;
    const char* detail = latest ? sqlite3_errmsg(handle_) : sqlite3_errstr(status);
    const bool from_kernel = (status & 0xff) == SQLITE_IOERR || (status & 0xff) == SQLITE_CANTOPEN;
    const int os_error = from_kernel && handle_ != nullptr ? sqlite3_system_errno(handle_) : 0;
    return make_error(path_, status, os_error, detail);
}

}  // namespace hearth::embedded
