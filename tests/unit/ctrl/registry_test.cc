#include "ctrl/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/sha.h>
#include <sys/mman.h>

#include "base/ids.h"
#include "coro/event.h"
#include "tests/port/embedded_fixtures.h"
#include "tests/support/direct_intake.h"
#include "tests/support/sockets.h"
#include "tests/unit/faas/zip_builder.h"
#include "tests/unit/worker/scripted_invoker.h"

namespace hearth::ctrl {
namespace {

using test::soon;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

// The real table, whose get() can be held back after it has read.
class slow_table final : public faas::function_table {
public:
    explicit slow_table(faas::function_table& real) : real_(real) {}
    event* hold = nullptr;
    int reads = 0;

    task<result<>> create(const faas::function& record, deadline until) override {
        return real_.create(record, until);
    }
    task<result<faas::function>> get(std::string_view id, deadline until) override {
        ++reads;
        auto found = co_await real_.get(id, until);
        if (hold != nullptr) {
            [[maybe_unused]] const auto released = co_await std::exchange(hold, nullptr)->wait();
        }
        co_return found;
    }
    task<result<>> update(const faas::function& record, deadline until) override {
        return real_.update(record, until);
    }
    task<result<>> remove(std::string_view id, deadline until) override {
        return real_.remove(id, until);
    }
    task<result<faas::page<faas::function>>> list(std::size_t limit, std::string_view cursor,
                                                  deadline until) override {
        return real_.list(limit, cursor, until);
    }

private:
    faas::function_table& real_;
};

class registry_test : public test::embedded_fixture, public ::testing::Test {
protected:
    static function_form form_with(const std::string& file_name, const std::string& content) {
        function_form form;
        function_form::code code;
        code.file_name = file_name;
        code.kind =
            file_name.ends_with(".zip") ? faas::code_kind::zip : faas::code_kind::python_file;
        code.file = unique_fd(::memfd_create("upload", MFD_CLOEXEC));
        test::write_fully(code.file, content);
        code.size = content.size();
        std::array<std::byte, 32> hash;
        ::SHA256(reinterpret_cast<const unsigned char*>(content.data()), content.size(),
                 reinterpret_cast<unsigned char*>(hash.data()));
        code.sha256 = to_hex(hash);
        form.upload = std::move(code);
        return form;
    }
    result<shared_function> create(const function_form& form) {
        return loop_.run(registry_.create(form, soon()));
    }
    shared_function create_hello() {
        return create(form_with("hello.py", "def handler(e, c): return 1")).value();
    }
    result<shared_function> update(const std::string& id, const function_form& form) {
        return loop_.run(registry_.update(id, form, soon()));
    }
    result<shared_function> get(const std::string& id) {
        return loop_.run(registry_.get(id, soon()));
    }

    thread_pool pool_{2, 64};
    std::unique_ptr<embedded::code_store> store_ =
        std::move(*embedded::code_store::open(directory_.file("code"), pool_));
    embedded::function_table real_table_{*database_};
    slow_table table_{real_table_};
    test::scripted_invoker invoker_;
    test::direct_intake archives_{pool_};
    registry registry_{table_, *store_, invoker_, archives_};
};

TEST_F(registry_test, an_upload_becomes_revision_one_with_the_defaults) {
    const auto made = create_hello();
    EXPECT_EQ(made->revision, 1);
    EXPECT_EQ(made->name, "hello");
    EXPECT_EQ(made->memory_mb, 128);
    EXPECT_EQ(made->timeout_ms, 30'000);
    EXPECT_THAT(made->handlers, ElementsAre("hello.handler", "hello.lambda_handler", "hello.main"));
    EXPECT_TRUE(loop_.run(store_->open(made->code_sha256, soon())));
}

TEST_F(registry_test, an_upload_without_or_with_an_empty_file_is_refused) {
    EXPECT_EQ(create(function_form{}).error().code, errc::invalid_argument);
    EXPECT_EQ(create(form_with("hello.py", "")).error().code, errc::invalid_argument);
}

TEST_F(registry_test, a_damaged_zip_is_refused_and_nothing_of_it_is_kept) {
    const auto made = create(form_with("x.zip", "no zip at all"));
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, errc::invalid_argument);
    EXPECT_THAT(loop_.run(store_->list("", 10, soon())).value(), IsEmpty());
}

TEST_F(registry_test, a_name_taken_from_a_file_is_as_a_given_name_must_be) {
    const std::string some_zip = test::make_zip({{.name = "main.py", .content = "pass"}});
    EXPECT_EQ(create(form_with("my app\n(v1.2).zip", some_zip)).value()->name, "my_app__v1_2_");
    EXPECT_EQ(create(form_with("\xff\xfe.zip", some_zip)).value()->name, "__");
    EXPECT_EQ(create(form_with(".zip", some_zip)).value()->name, "function");
    EXPECT_EQ(create(form_with(std::string(100, 'n') + ".zip", some_zip)).value()->name,
              std::string(64, 'n'));
}

TEST_F(registry_test, an_update_is_seen_at_once_and_retires_the_old_revision) {
    const auto made = create_hello();
    function_form change;
    change.memory_mb = 512;
    const auto updated = update(made->id, change);
    ASSERT_TRUE(updated);
    EXPECT_EQ((*updated)->revision, 2);
    EXPECT_EQ((*updated)->code_sha256, made->code_sha256);
    EXPECT_EQ(get(made->id).value()->memory_mb, 512);
    EXPECT_THAT(invoker_.retired, ElementsAre(Pair(made->id, 2)));
}

TEST_F(registry_test, an_update_for_another_revision_is_a_conflict) {
    const auto made = create_hello();
    function_form change;
    change.expected_revision = 5;
    EXPECT_EQ(update(made->id, change).error().code, errc::conflict);
    EXPECT_THAT(invoker_.retired, IsEmpty());
    change.expected_revision = 1;
    EXPECT_TRUE(update(made->id, change));
}

TEST_F(registry_test, of_two_updates_at_once_one_is_a_conflict) {
    const auto made = create_hello();
    function_form change;
    change.timeout_ms = 5'000;
    auto first = loop_.start(registry_.update(made->id, change, soon()));
    auto second = loop_.start(registry_.update(made->id, change, soon()));
    const auto one = first.get();
    const auto two = second.get();
    EXPECT_NE(one.has_value(), two.has_value());
    EXPECT_EQ((one ? two : one).error().code, errc::conflict);
    EXPECT_EQ(get(made->id).value()->revision, 2);
}

TEST_F(registry_test, a_given_handler_survives_new_code_and_a_default_one_follows_it) {
    const auto first = create_hello();
    EXPECT_EQ(update(first->id, form_with("other.py", "x = 1")).value()->handler, "other.handler");
    auto form = form_with("hello.py", "x = 2");
    form.handler = "hello.run";
    const auto second = create(form);
    ASSERT_TRUE(second);
    EXPECT_EQ(update((*second)->id, form_with("hello.py", "x = 3")).value()->handler, "hello.run");
}

TEST_F(registry_test, a_deleted_function_is_gone_and_all_its_sandboxes_retire) {
    const auto made = create_hello();
    ASSERT_TRUE(loop_.run(registry_.remove(made->id, soon())));
    EXPECT_EQ(get(made->id).error().code, errc::not_found);
    EXPECT_THAT(invoker_.retired, ElementsAre(Pair(made->id, 0)));
    EXPECT_EQ(loop_.run(registry_.remove(made->id, soon())).error().code, errc::not_found);
}

TEST_F(registry_test, a_look_up_that_a_deletion_overtakes_does_not_bring_the_function_back) {
    const auto made = create_hello();
    registry fresh(table_, *store_, invoker_, archives_);  // knows nothing yet
    event held;
    table_.hold = &held;
    auto reading = loop_.start(fresh.get(made->id, soon()));
    loop_.run_until([&] { return table_.hold == nullptr; });
    ASSERT_TRUE(loop_.run(fresh.remove(made->id, soon())));
    held.set();
    EXPECT_TRUE(reading.get()) << "it was there when it was read";
    EXPECT_EQ(loop_.run(fresh.get(made->id, soon())).error().code, errc::not_found);
}

TEST_F(registry_test, a_look_up_that_an_update_overtakes_does_not_hide_the_update) {
    const auto made = create_hello();
    registry fresh(table_, *store_, invoker_, archives_);
    event held;
    table_.hold = &held;
    auto reading = loop_.start(fresh.get(made->id, soon()));
    loop_.run_until([&] { return table_.hold == nullptr; });
    function_form change;
    change.memory_mb = 512;
    ASSERT_TRUE(loop_.run(fresh.update(made->id, change, soon())));
    held.set();
    EXPECT_TRUE(reading.get());
    EXPECT_EQ(loop_.run(fresh.get(made->id, soon())).value()->revision, 2);
}

TEST_F(registry_test, a_second_look_up_does_not_reach_the_table) {
    const auto made = create_hello();
    ASSERT_TRUE(get(made->id));
    ASSERT_TRUE(get(made->id));
    EXPECT_EQ(table_.reads, 0);
}

TEST_F(registry_test, where_others_share_the_table_what_is_stale_is_read_again) {
    const auto function = create_hello();
    registry sharing(table_, *store_, invoker_, archives_, milliseconds(0));
    ASSERT_TRUE(loop_.run(sharing.get(function->id, soon())));
    // Another controller's doing.
    function_form form;
    form.name = "renamed";
    ASSERT_TRUE(update(function->id, form));
    EXPECT_EQ(loop_.run(sharing.get(function->id, soon())).value()->revision, 2);
    ASSERT_TRUE(loop_.run(registry_.remove(function->id, soon())));
    EXPECT_EQ(loop_.run(sharing.get(function->id, soon())).error().code, errc::not_found);
}

}  // namespace
}  // namespace hearth::ctrl
