#include "ctrl/registry.h"

#include <algorithm>

#include "base/concat.h"
#include "base/ids.h"
#include "base/log.h"

namespace hearth::ctrl {
namespace {

constexpr std::size_t cache_entries_max = 100'000;

// A zip may have any file name; what a name may not hold becomes '_', as a given name is checked.
std::string name_from_file(std::string_view file) {
    std::string name(file.substr(0, std::min(file.rfind('.'), faas::name_bytes_max)));
    constexpr std::string_view allowed =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::ranges::replace_if(name, [&](char c) { return !allowed.contains(c); }, '_');
    return name.empty() ? "function" : name;
}

// The handlers that are tried in order when none is given: always several, whereas a handler that
// was given stands alone and is kept by later uploads.
std::vector<std::string> default_handlers(const faas::function& record, bool prefers_lambda) {
    if (record.kind == faas::code_kind::python_file) {
        const std::string stem = record.code_file.substr(0, record.code_file.size() - 3);
        return {stem + ".handler", stem + ".lambda_handler", stem + ".main"};
    }
    if (prefers_lambda) {
        return {"lambda_function.lambda_handler", "main.handler"};
    }
    return {"main.handler", "lambda_function.lambda_handler"};
}

}  // namespace

task<result<shared_function>> registry::get(std::string_view id, deadline until) {
    const auto found = cache_.find(std::string(id));
    if (found != cache_.end() && is_fresh(found->second)) {
        co_return found->second.content;
    }
    const std::uint64_t seen = changes_;
    auto stored = co_await table_.get(id, until);
    if (!stored) {
        if (stored.error().code == errc::not_found) {
            cache_.erase(std::string(id));  // deleted by another controller
        }
        co_return propagate(stored);
    }
    auto shared = std::make_shared<const faas::function>(std::move(*stored));
    remember(shared, seen);
    co_return shared;
}

bool registry::is_fresh(const entry& known) const {
    return stale_after_ == never_stale || steady_clock::now() - known.read_at < stale_after_;
}

// Into the cache, unless something was updated or deleted since `seen`: the answer to a look-up may
// come after that of the deletion that it did not see.
void registry::remember(const shared_function& what, std::uint64_t seen) {
    if (seen != changes_) {
        cache_.erase(what->id);
        return;
    }
    if (cache_.size() >= cache_entries_max) {
        cache_.clear();
    }
    entry& slot = cache_[what->id];
    if (slot.content == nullptr || slot.content->revision <= what->revision) {
        slot = {.content = what, .read_at = steady_clock::now()};
    }
}

task<result<faas::page<faas::function>>> registry::list(std::size_t limit, std::string_view cursor,
                                                        deadline until) {
    return table_.list(limit, cursor, until);
}

// Stores the form's file and sets what follows from it: hash, size, kind, handlers.
task<result<>> registry::apply_code(faas::function& record, const function_form& form,
                                    deadline until) {
    bool prefers_lambda = false;
    if (form.upload) {
        const function_form::code& code = *form.upload;
        if (code.kind == faas::code_kind::zip) {
            auto checked = co_await archives_.check(code.file.get(), until);
            if (!checked) {
                co_return propagate(checked);
            }
            prefers_lambda = checked->has_lambda_function && !checked->has_main;
        }
        auto stored = co_await store_.put(code.sha256, code.file.get(), code.size, until);
        if (!stored) {
            co_return stored;
        }
        record.kind = code.kind;
        record.code_file = code.file_name;
        record.code_sha256 = code.sha256;
        record.code_size = static_cast<std::int64_t>(code.size);
    }
    if (form.handler) {
        record.handlers = {*form.handler};
    } else if (form.upload && record.handlers.size() != 1) {
        record.handlers = default_handlers(record, prefers_lambda);
    }
    record.handler = record.handlers.front();
    co_return result<>{};
}

task<result<shared_function>> registry::create(const function_form& form, deadline until) {
    if (!form.upload || form.upload->size == 0) {
        co_return fail(errc::invalid_argument,
                       "The part \"file\" is missing or empty: -F file=@hello.py");
    }
    faas::function record;
    record.id = make_uuid();
    record.runtime = form.runtime.value_or("python");
    record.memory_mb = form.memory_mb.value_or(faas::memory_mb_default);
    record.timeout_ms = form.timeout_ms.value_or(faas::timeout_ms_default);
    record.env = form.env.value_or(faas::environment{});
    record.created_at = record.updated_at = wall_clock_ms();
    record.name = form.name ? *form.name : name_from_file(form.upload->file_name);
    if (auto applied = co_await apply_code(record, form, until); !applied) {
        co_return propagate(applied);
    }
    if (auto created = co_await table_.create(record, until); !created) {
        co_return propagate(created);
    }
    auto shared = std::make_shared<const faas::function>(std::move(record));
    remember(shared, changes_);
    log::info("function uploaded", {{"functionId", shared->id}, {"name", shared->name}});
    co_return shared;
}

task<result<shared_function>> registry::update(std::string_view id, const function_form& form,
                                               deadline until) {
    auto stored = co_await table_.get(id, until);
    if (!stored) {
        co_return propagate(stored);
    }
    faas::function record = std::move(*stored);
    if (form.expected_revision && *form.expected_revision != record.revision) {
        co_return fail(errc::conflict,
                       concat("The function is at revision ", record.revision, ", not ",
                              *form.expected_revision, ". Read it again and repeat the change."));
    }
    if (form.upload && form.upload->size == 0) {
        co_return fail(errc::invalid_argument, "The part \"file\" is empty.");
    }
    record.name = form.name.value_or(record.name);
    record.memory_mb = form.memory_mb.value_or(record.memory_mb);
    record.timeout_ms = form.timeout_ms.value_or(record.timeout_ms);
    record.env = form.env.value_or(record.env);
    if (auto applied = co_await apply_code(record, form, until); !applied) {
        co_return propagate(applied);
    }
    ++record.revision;
    record.updated_at = wall_clock_ms();
    const std::uint64_t seen = changes_;
    if (auto updated = co_await table_.update(record, until); !updated) {
        co_return propagate(updated);
    }
    auto shared = std::make_shared<const faas::function>(std::move(record));
    remember(shared, seen);
    ++changes_;
    invoker_.retire(shared->id, shared->revision);
    log::info("function updated", {{"functionId", shared->id}, {"revision", shared->revision}});
    co_return shared;
}

task<result<>> registry::remove(std::string_view id, deadline until) {
    auto removed = co_await table_.remove(id, until);
    if (removed) {
        ++changes_;
        cache_.erase(std::string(id));
        invoker_.retire(id, 0);
        log::info("function deleted", {{"functionId", id}});
    }
    co_return removed;
}

}  // namespace hearth::ctrl
