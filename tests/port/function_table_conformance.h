#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/concat.h"
#include "faas/ports.h"
#include "tests/port/missing.h"
#include "tests/support/test_executor.h"

// What every function table must hold. The fixture is default-constructible, starts empty and has
//     test_executor& loop();
//     faas::function_table& port();

namespace hearth::test {

template <class Fixture>
class function_table_conformance : public ::testing::Test {
protected:
    void SetUp() override {
        if (const auto missing = missing_for(fixture_); !missing.empty()) {
            GTEST_SKIP() << missing;
        }
    }
    static faas::function make_function(std::string_view id) {
        faas::function record;
        record.id = id;
        record.name = concat("name of ", id);
        record.runtime = "python";
        record.handler = "main.handler";
        record.handlers = {"main.handler", "main.lambda_handler"};
        record.memory_mb = 256;
        record.timeout_ms = 1234;
        record.env = {{"B", "2"}, {"A", "ünï \"quoted\"\n"}, {"EMPTY", ""}};
        record.kind = faas::code_kind::zip;
        record.code_file = "code.zip";
        record.code_sha256 = std::string(64, 'a');
        record.code_size = 4711;
        record.created_at = 1'700'000'000'000;
        record.updated_at = 1'700'000'000'001;
        return record;
    }
    static void expect_equal(const faas::function& a, const faas::function& b) {
        EXPECT_EQ(a.id, b.id);
        EXPECT_EQ(a.name, b.name);
        EXPECT_EQ(a.runtime, b.runtime);
        EXPECT_EQ(a.handler, b.handler);
        EXPECT_EQ(a.handlers, b.handlers);
        EXPECT_EQ(a.memory_mb, b.memory_mb);
        EXPECT_EQ(a.timeout_ms, b.timeout_ms);
        EXPECT_EQ(a.env, b.env);
        EXPECT_EQ(a.kind, b.kind);
        EXPECT_EQ(a.code_file, b.code_file);
        EXPECT_EQ(a.code_sha256, b.code_sha256);
        EXPECT_EQ(a.code_size, b.code_size);
        EXPECT_EQ(a.revision, b.revision);
        EXPECT_EQ(a.created_at, b.created_at);
        EXPECT_EQ(a.updated_at, b.updated_at);
    }
    template <class T>
    T run(task<T> work) {
        return fixture_.loop().run(std::move(work));
    }
    faas::function_table& table() { return fixture_.port(); }
    void create(std::string_view id) {
        const auto record = make_function(id);
        const auto created = run(table().create(record, soon()));
        ASSERT_TRUE(created) << created.error().message;
    }
    template <class T>
    static errc code_of(const result<T>& failed) {
        return failed ? errc::internal : failed.error().code;
    }

    Fixture fixture_;
};
TYPED_TEST_SUITE_P(function_table_conformance);

TYPED_TEST_P(function_table_conformance, returns_what_was_created_with_every_field) {
    for (const auto kind : {faas::code_kind::zip, faas::code_kind::python_file}) {
        auto record = this->make_function(kind == faas::code_kind::zip ? "f-zip" : "f-file");
        record.kind = kind;
        ASSERT_TRUE(this->run(this->table().create(record, soon())));
        const auto stored = this->run(this->table().get(record.id, soon()));
        ASSERT_TRUE(stored) << stored.error().message;
        this->expect_equal(*stored, record);
    }
}

TYPED_TEST_P(function_table_conformance, creating_an_id_twice_is_a_conflict) {
    this->create("f1");
    const auto again = this->make_function("f1");
    EXPECT_EQ(this->code_of(this->run(this->table().create(again, soon()))), errc::conflict);
}

TYPED_TEST_P(function_table_conformance, what_is_absent_is_not_found) {
    const auto record = this->make_function("absent");
    EXPECT_EQ(this->code_of(this->run(this->table().get("absent", soon()))), errc::not_found);
    EXPECT_EQ(this->code_of(this->run(this->table().update(record, soon()))), errc::not_found);
    EXPECT_EQ(this->code_of(this->run(this->table().remove("absent", soon()))), errc::not_found);
}

TYPED_TEST_P(function_table_conformance, stores_the_next_revision_only) {
    this->create("f1");
    auto changed = this->make_function("f1");
    changed.revision = 2;
    changed.name = "changed";
    changed.env = {};
    changed.handlers = {};
    ASSERT_TRUE(this->run(this->table().update(changed, soon())));
    const auto stored = this->run(this->table().get("f1", soon()));
    ASSERT_TRUE(stored);
    this->expect_equal(*stored, changed);
    for (const std::int64_t wrong : {1, 2, 4}) {
        changed.revision = wrong;
        EXPECT_EQ(this->code_of(this->run(this->table().update(changed, soon()))), errc::conflict)
            << wrong;
    }
}

TYPED_TEST_P(function_table_conformance, of_concurrent_updates_to_one_revision_one_wins) {
    this->create("f1");
    std::vector<faas::function> versions(16, this->make_function("f1"));
    std::vector<test_loop::pending<result<>>> updates;
    for (auto& each : versions) {
        each.revision = 2;
        each.name = concat("version ", static_cast<std::int64_t>(&each - versions.data()));
        updates.push_back(this->fixture_.loop().start(this->table().update(each, soon())));
    }
    std::string winner;
    for (std::size_t i = 0; i < updates.size(); ++i) {
        const auto updated = updates[i].get();
        if (updated) {
            EXPECT_EQ(winner, "");
            winner = versions[i].name;
        } else {
            EXPECT_EQ(updated.error().code, errc::conflict);
        }
    }
    EXPECT_EQ(this->run(this->table().get("f1", soon()))->name, winner);
}

TYPED_TEST_P(function_table_conformance, a_removed_function_is_gone_and_its_id_free) {
    this->create("f1");
    ASSERT_TRUE(this->run(this->table().remove("f1", soon())));
    EXPECT_EQ(this->code_of(this->run(this->table().get("f1", soon()))), errc::not_found);
    this->create("f1");
}

TYPED_TEST_P(function_table_conformance, lists_pages_in_order_of_creation) {
    const std::vector<std::string> ids{"m", "a", "z", "b", "y"};
    for (const auto& id : ids) {
        this->create(id);
    }
    std::vector<std::string> seen;
    std::string cursor;
    std::size_t pages = 0;
    do {
        auto page = this->run(this->table().list(2, cursor, soon()));
        ASSERT_TRUE(page) << page.error().message;
        for (const auto& each : page->items) {
            seen.push_back(each.id);
        }
        cursor = page->cursor;
        ++pages;
    } while (!cursor.empty());
    EXPECT_EQ(seen, ids);
    EXPECT_EQ(pages, 3u);
}

TYPED_TEST_P(function_table_conformance, the_last_page_has_no_cursor_even_when_it_is_full) {
    for (const std::string_view id : {"a", "b"}) {
        this->create(id);
    }
    const auto page = this->run(this->table().list(2, "", soon()));
    ASSERT_TRUE(page);
    EXPECT_EQ(page->items.size(), 2u);
    EXPECT_EQ(page->cursor, "");
}

TYPED_TEST_P(function_table_conformance, an_empty_table_lists_one_empty_page) {
    const auto page = this->run(this->table().list(10, "", soon()));
    ASSERT_TRUE(page);
    EXPECT_TRUE(page->items.empty());
    EXPECT_EQ(page->cursor, "");
}

TYPED_TEST_P(function_table_conformance, a_cursor_outlives_the_function_it_stands_at) {
    for (const std::string_view id : {"a", "b", "c"}) {
        this->create(id);
    }
    const auto first = this->run(this->table().list(2, "", soon()));
    ASSERT_TRUE(first);
    ASSERT_TRUE(this->run(this->table().remove("b", soon())));
    const auto second = this->run(this->table().list(2, first->cursor, soon()));
    ASSERT_TRUE(second);
    ASSERT_EQ(second->items.size(), 1u);
    EXPECT_EQ(second->items.front().id, "c");
}

TYPED_TEST_P(function_table_conformance, refuses_unknown_cursors_and_limits) {
    this->create("a");
    for (const std::string_view cursor : {"nonsense", "-1", "0", "1x", "999999", " 1"}) {
        EXPECT_EQ(this->code_of(this->run(this->table().list(10, cursor, soon()))),
                  errc::invalid_argument)
            << cursor;
    }
    for (const std::size_t limit : {std::size_t{0}, std::size_t{1001}}) {
        EXPECT_EQ(this->code_of(this->run(this->table().list(limit, "", soon()))),
                  errc::invalid_argument);
    }
}

TYPED_TEST_P(function_table_conformance, a_passed_deadline_changes_nothing) {
    const auto record = this->make_function("f1");
    EXPECT_EQ(this->code_of(this->run(this->table().create(record, passed()))),
              errc::deadline_exceeded);
    EXPECT_EQ(this->code_of(this->run(this->table().get("f1", soon()))), errc::not_found);
    EXPECT_EQ(this->code_of(this->run(this->table().get("f1", passed()))), errc::deadline_exceeded);
}

REGISTER_TYPED_TEST_SUITE_P(
    function_table_conformance, returns_what_was_created_with_every_field,
    creating_an_id_twice_is_a_conflict, what_is_absent_is_not_found, stores_the_next_revision_only,
    of_concurrent_updates_to_one_revision_one_wins, a_removed_function_is_gone_and_its_id_free,
    lists_pages_in_order_of_creation, the_last_page_has_no_cursor_even_when_it_is_full,
    an_empty_table_lists_one_empty_page, a_cursor_outlives_the_function_it_stands_at,
    refuses_unknown_cursors_and_limits, a_passed_deadline_changes_nothing);

}  // namespace hearth::test
