#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include <sqlite3.h>

#include "base/result.h"

// SQLite as values: a connection, and statements that are prepared once and bound anew for each
// use. No exceptions; every failure names the file and what to do about it.

namespace hearth::embedded {

class connection;

// One use of a prepared statement, borrowed from its connection; it is reset when this goes. A
// failure to prepare or bind is kept and answered by step(), so that callers check once. Bound text
// is not copied: it must outlive this object. One thread.
class statement {
public:
    statement(statement&& other) noexcept;
    statement(const statement&) = delete;
    statement& operator=(const statement&) = delete;
    statement& operator=(statement&&) = delete;
    ~statement();

    // Parameters count from 1, as `?1` does.
    void bind(int index, std::string_view text);
    void bind(int index, double number);
    template <std::integral T>
    void bind(int index, T number) {
        bind_integer(index, static_cast<std::int64_t>(number));
    }

    // True when there is a row, false at the end.
    [[nodiscard]] result<bool> step();

    // Columns of the current row, counted from 0.
    [[nodiscard]] std::int64_t integer(int column) const;
    [[nodiscard]] double real(int column) const;
    [[nodiscard]] std::string text(int column) const;
    [[nodiscard]] bool is_null(int column) const;

private:
    friend class connection;
    struct cached {
        sqlite3_stmt* handle = nullptr;
        bool in_use = false;
    };
    statement(connection& owner, cached* prepared, int status) noexcept
        : owner_(owner), prepared_(prepared), status_(status) {}
    void bind_integer(int index, std::int64_t number);
    void keep(int status) noexcept;

    connection& owner_;
    cached* prepared_;
    int status_;  // of prepare and bind
};

// One open connection, used by one thread at a time. Statements must be gone before it.
class connection {
public:
    // Opens or creates the file and applies what holds for every connection: WAL, synchronous=FULL
    // (a commit is on the disk when it returns, power failure included), foreign keys.
    [[nodiscard]] static result<std::unique_ptr<connection>> open(const std::string& path);
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    ~connection();

    // `sql` is one statement and a string literal: prepared statements are kept under it for good.
    template <class... Values>
    [[nodiscard]] statement query(const char* sql, const Values&... values) {
        statement prepared = prepare(sql);
        int index = 0;
        (prepared.bind(++index, values), ...);
        return prepared;
    }

    // Runs a statement that returns no rows; answers how many rows it changed itself.
    template <class... Values>
    [[nodiscard]] result<std::int64_t> execute(const char* sql, const Values&... values) {
        statement prepared = query(sql, values...);
        return run(prepared);
    }

    // Runs several statements without parameters.
    [[nodiscard]] result<> run_script(const char* sql);

    [[nodiscard]] std::int64_t last_insert_id() const noexcept {
        return sqlite3_last_insert_rowid(handle_);
    }
    // So that last_insert_id() tells whether the next statement inserts: 0 where it does not.
    void forget_last_insert_id() noexcept { sqlite3_set_last_insert_rowid(handle_, 0); }
    // False once SQLite has rolled a transaction back by itself, as it does on a full disk.
    [[nodiscard]] bool in_transaction() const noexcept {
        return sqlite3_get_autocommit(handle_) == 0;
    }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

    // From then on this connection reads only.
    [[nodiscard]] result<> make_read_only();

private:
    friend class statement;
    connection(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
    [[nodiscard]] result<> configure();
    [[nodiscard]] statement prepare(const char* sql);
    [[nodiscard]] result<std::int64_t> run(statement& prepared);
    [[nodiscard]] error describe(int status) const;

    sqlite3* handle_;
    std::string path_;
    // By the literal's address: hashing a long text would take as long as a small statement.
    std::unordered_map<const char*, statement::cached> statements_;
};

}  // namespace hearth::embedded
