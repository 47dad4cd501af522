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
    static constexpr milliseconds never_stale = milliseconds::max();

    // `stale_after`: where several controllers share the table, what one has read is asked for
    // again after so long, since another may have changed it.
    registry(faas::function_table& table, faas::code_store& store, faas::invoker& invoker,
             faas::archive_intake& archives, milliseconds stale_after = never_stale)
        : table_(table),
          store_(store),
          invoker_(invoker),
          archives_(archives),
          stale_after_(stale_after) {}

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

private:
    struct entry {
        shared_function content;
        steady_time read_at{};
    };
    [[nodiscard]] bool is_fresh(const entry& known) const;
    void remember(const shared_function& what, std::uint64_t seen);
    task<result<>> apply_code(faas::function& record, const function_form& form, deadline until);

    faas::function_table& table_;
    faas::code_store& store_;
    faas::invoker& invoker_;
    faas::archive_intake& archives_;
    milliseconds stale_after_;
    std::unordered_map<std::string, entry> cache_;
    std::uint64_t changes_ = 0;  // updates and deletions so far
};

}  // namespace hearth::ctrl
