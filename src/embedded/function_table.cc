#include "embedded/function_table.h"

#include <charconv>

#include "base/concat.h"
#include "base/json.h"

namespace hearth::embedded {
namespace {

std::string_view to_text(faas::code_kind kind) noexcept {
    return kind == faas::code_kind::zip ? "zip" : "python_file";
}

std::string handlers_to_json(const std::vector<std::string>& handlers) {
    json::writer out;
    out.begin_array();
    for (const std::string& each : handlers) {
        out.value(each);
    }
    out.end_array();
    return std::move(out).take();
}

// Pairs, not an object: the order is kept and no name is special.
std::string environment_to_json(const faas::environment& env) {
    json::writer out;
    out.begin_array();
    for (const auto& [name, value] : env) {
        out.begin_array();
        out.value(name);
        out.value(value);
        out.end_array();
    }
    out.end_array();
    return std::move(out).take();
}

std::unexpected<error> damaged(const faas::function& record) {
    return fail(errc::corrupt, concat("the stored function ", record.id,
                                      " is damaged: restore the database from a backup, or delete "
                                      "the function and upload it again"));
}

// An element or the result of looking one up.
bool read_text(auto element, std::string& out) {
    std::string_view text;
    if (element.get(text) != simdjson::SUCCESS) {
        return false;
    }
    out.assign(text);
    return true;
}

bool read_handlers(std::string_view text, std::vector<std::string>& handlers) {
    auto parsed = json::document::parse(text);
    simdjson::dom::array items;
    if (!parsed || parsed->root().get(items) != simdjson::SUCCESS) {
        return false;
    }
    for (const simdjson::dom::element item : items) {
        if (!read_text(item, handlers.emplace_back())) {
            return false;
        }
    }
    return true;
}

bool read_environment(std::string_view text, faas::environment& env) {
    auto parsed = json::document::parse(text);
    simdjson::dom::array items;
    if (!parsed || parsed->root().get(items) != simdjson::SUCCESS) {
        return false;
    }
    for (const simdjson::dom::element item : items) {
        auto& [name, value] = env.emplace_back();
        if (!read_text(item.at(0), name) || !read_text(item.at(1), value)) {
            return false;
        }
    }
    return true;
}

// Columns in the order of both SELECTs below; column 0 is the sequence.
result<faas::function> read_row(const statement& row) {
    faas::function record;
    record.id = row.text(1);
    record.name = row.text(2);
    record.runtime = row.text(3);
    record.handler = row.text(4);
    record.memory_mb = row.integer(6);
    record.timeout_ms = row.integer(7);
    record.kind = row.text(9) == "zip" ? faas::code_kind::zip : faas::code_kind::python_file;
    record.code_file = row.text(10);
    record.code_sha256 = row.text(11);
    record.code_size = row.integer(12);
    record.revision = row.integer(13);
    record.created_at = row.integer(14);
    record.updated_at = row.integer(15);
    if (!read_handlers(row.text(5), record.handlers) ||
        !read_environment(row.text(8), record.env)) {
        return damaged(record);
    }
    return record;
}

std::unexpected<error> no_such_function(std::string_view id) {
    return fail(errc::not_found, concat("no function has the id ", id));
}

result<> insert(connection& db, const faas::function& record) {
    statement count = db.query("SELECT count(*) FROM functions");
    if (const auto row = count.step(); !row) {
        return std::unexpected(row.error());
    }
    if (count.integer(0) >= function_table::functions_max) {
        return fail(errc::limit_exceeded, concat("there are ", function_table::functions_max,
                                                 " functions, the most: delete some"));
    }
    const std::string handlers = handlers_to_json(record.handlers);
    const std::string env = environment_to_json(record.env);
    auto stored = db.execute(
        "INSERT INTO functions (id, name, runtime, handler, handlers, memory_mb, timeout_ms, env,"
        " kind, code_file, code_sha256, code_size, revision, created_at, updated_at)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        record.id, record.name, record.runtime, record.handler, handlers, record.memory_mb,
        record.timeout_ms, env, to_text(record.kind), record.code_file, record.code_sha256,
        record.code_size, record.revision, record.created_at, record.updated_at);
    if (stored) {
        return {};
    }
    if (stored.error().code == errc::conflict) {
        return fail(errc::conflict, concat("a function with the id ", record.id, " exists"));
    }
    return propagate(stored);
}

result<> replace(connection& db, const faas::function& record) {
    const std::string handlers = handlers_to_json(record.handlers);
    const std::string env = environment_to_json(record.env);
    auto changed = db.execute(
        "UPDATE functions SET name = ?2, runtime = ?3, handler = ?4, handlers = ?5,"
        " memory_mb = ?6, timeout_ms = ?7, env = ?8, kind = ?9, code_file = ?10,"
        " code_sha256 = ?11, code_size = ?12, revision = ?13, created_at = ?14, updated_at = ?15"
        " WHERE id = ?1 AND revision = ?13 - 1",
        record.id, record.name, record.runtime, record.handler, handlers, record.memory_mb,
        record.timeout_ms, env, to_text(record.kind), record.code_file, record.code_sha256,
        record.code_size, record.revision, record.created_at, record.updated_at);
    if (!changed) {
        return propagate(changed);
    }
    if (*changed == 1) {
        return {};
    }
    statement stored = db.query("SELECT revision FROM functions WHERE id = ?1", record.id);
    const auto row = stored.step();
    if (!row) {
        return std::unexpected(row.error());
    }
    if (!*row) {
        return no_such_function(record.id);
    }
    return fail(errc::conflict,
                concat("function ", record.id, " is at revision ", stored.integer(0),
                       ", not at the one below ", record.revision, ": read it again and repeat"));
}

result<std::int64_t> parse_cursor(connection& db, std::string_view cursor) {
    if (cursor.empty()) {
        return 0;
    }
    std::int64_t position = 0;
    const auto parsed = std::from_chars(cursor.data(), cursor.data() + cursor.size(), position);
    statement issued = db.query("SELECT seq FROM sqlite_sequence WHERE name = 'functions'");
    const auto row = issued.step();
    if (!row) {
        return std::unexpected(row.error());
    }
    const std::int64_t last = *row ? issued.integer(0) : 0;
    if (parsed.ec != std::errc{} || parsed.ptr != cursor.data() + cursor.size() || position < 1 ||
        position > last) {
        return fail(errc::invalid_argument,
                    "unknown cursor: use the one of the page before, or none to begin");
    }
    return position;
}

result<faas::page<faas::function>> read_page(connection& db, std::size_t limit,
                                             std::string_view cursor) {
    const auto position = parse_cursor(db, cursor);
    if (!position) {
        return std::unexpected(position.error());
    }
    // One more than asked for tells whether a page follows.
    statement rows = db.query(
        "SELECT sequence, id, name, runtime, handler, handlers, memory_mb, timeout_ms, env, kind,"
        " code_file, code_sha256, code_size, revision, created_at, updated_at FROM functions"
        " WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
        *position, limit + 1);
    faas::page<faas::function> page;
    std::int64_t last = 0;
    for (;;) {
        const auto row = rows.step();
        if (!row) {
            return std::unexpected(row.error());
        }
        if (!*row) {
            return page;
        }
        if (page.items.size() == limit) {
            page.cursor = concat(last);
            return page;
        }
        auto record = read_row(rows);
        if (!record) {
            return propagate(record);
        }
        page.items.push_back(std::move(*record));
        last = rows.integer(0);
    }
}

}  // namespace

task<result<>> function_table::create(const faas::function& record, deadline until) {
    return db_.write([&record](connection& db) { return insert(db, record); }, until);
}

task<result<faas::function>> function_table::get(std::string_view id, deadline until) {
    return db_.read(
        [id](connection& db) -> result<faas::function> {
            statement rows = db.query(
                "SELECT sequence, id, name, runtime, handler, handlers, memory_mb, timeout_ms, env,"
                " kind, code_file, code_sha256, code_size, revision, created_at, updated_at"
                " FROM functions WHERE id = ?1",
                id);
            const auto row = rows.step();
            if (!row) {
                return std::unexpected(row.error());
            }
            return *row ? read_row(rows) : no_such_function(id);
        },
        until);
}

task<result<>> function_table::update(const faas::function& record, deadline until) {
    return db_.write([&record](connection& db) { return replace(db, record); }, until);
}

task<result<>> function_table::remove(std::string_view id, deadline until) {
    return db_.write(
        [id](connection& db) -> result<> {
            auto removed = db.execute("DELETE FROM functions WHERE id = ?1", id);
            if (!removed) {
                return propagate(removed);
            }
            return *removed == 1 ? result<>{} : no_such_function(id);
        },
        until);
}

task<result<faas::page<faas::function>>> function_table::list(std::size_t limit,
                                                              std::string_view cursor,
                                                              deadline until) {
    return db_.read(
        [limit, cursor](connection& db) -> result<faas::page<faas::function>> {
            if (limit < 1 || limit > page_max) {
                return fail(errc::invalid_argument, concat("limit must be 1 to ", page_max));
            }
            return read_page(db, limit, cursor);
        },
        until);
}

}  // namespace hearth::embedded
