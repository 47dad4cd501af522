#pragma once

#include "embedded/database.h"
#include "faas/ports.h"

namespace hearth::embedded {

// The functions in SQLite. At most functions_max: errc::limit_exceeded beyond. A cursor is the
// creation number of the last function seen; it stays good when that one is removed.
class function_table final : public faas::function_table {
public:
    static constexpr std::int64_t functions_max = 100'000;
    static constexpr std::size_t page_max = 1000;

    // `db` outlives this.
    explicit function_table(database& db) noexcept : db_(db) {}

    task<result<>> create(const faas::function& record, deadline until) override;
    task<result<faas::function>> get(std::string_view id, deadline until) override;
    task<result<>> update(const faas::function& record, deadline until) override;
    task<result<>> remove(std::string_view id, deadline until) override;
    task<result<faas::page<faas::function>>> list(std::size_t limit, std::string_view cursor,
                                                  deadline until) override;

private:
    database& db_;
};

}  // namespace hearth::embedded
