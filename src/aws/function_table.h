#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "aws/dynamodb.h"
#include "faas/ports.h"

namespace hearth::aws {

// The functions in DynamoDB: one item each under its id, and an index by creation for lists, which
// shows a write a moment after it. docs/protocol.md, "Table items". Reads of one function see all
// writes before them. An item that a retried request found written by itself is no conflict: each
// write leaves its token. Ring thread only.
class function_table final : public faas::function_table {
public:
    static constexpr std::size_t page_max = 1000;
    static constexpr std::string_view index_name = "by_creation";

    // `api` is for DynamoDB and outlives this.
    function_table(client& api, std::string table_name) : table_(api, std::move(table_name)) {}

    task<result<>> create(const faas::function& record, deadline until) override;
    task<result<faas::function>> get(std::string_view id, deadline until) override;
    task<result<>> update(const faas::function& record, deadline until) override;
    task<result<>> remove(std::string_view id, deadline until) override;
    task<result<faas::page<faas::function>>> list(std::size_t limit, std::string_view cursor,
                                                  deadline until) override;

private:
    [[nodiscard]] std::string next_place();

    table table_;
    std::int64_t last_place_us_ = 0;
};

}  // namespace hearth::aws
