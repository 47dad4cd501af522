#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "coro/task.h"
#include "ctrl/function_form.h"
#include "faas/archive_intake.h"
#include "faas/ports.h"

namespace hearth::ctrl {

using shared_function = std::shared_ptr<const faas::function>;

// The functions: the table behind a cache, so that a call costs no look-up. Uploads become
// revisions here. Home ring only.
class registry {
public:
    registry(faas::function_table& table, faas::code_store& store, faas::invoker& invoker,
             faas::archive_intake& archives)
        : table_(table), store_(store), invoker_(invoker), archives_(archives) {}

    // errc::not_found.
    task<result<shared_function>> get(std::string_view id, deadline until);
    task<result<faas::page<faas::function>>> list(std::size_t limit, std::string_view cursor,
                                                  deadline until);
    // The form must carry a file.
    task<result<shared_function>> create(const function_form& form, deadline until);
    // errc::conflict when the revision that the form expects is not the present one.
    task<result<shared_function>> update(std::string_view id, const function_form& form,
                                         deadline until);
    task<result<>> remove(std::string_view id, deadline until);

    // Removes code that no function uses. At start, before uploads are possible.
    task<result<std::size_t>> collect_garbage(deadline until);

private:
    void remember(const shared_function& what, std::uint64_t seen);
    task<result<>> apply_code(faas::function& record, const function_form& form, deadline until);

    faas::function_table& table_;
    faas::code_store& store_;
    faas::invoker& invoker_;
    faas::archive_intake& archives_;
    std::unordered_map<std::string, shared_function> cache_;
    std::uint64_t changes_ = 0;  // updates and deletions so far
};

}  // namespace hearth::ctrl
