#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aws/client.h"

namespace hearth::aws {

// One attribute's value: text (S), number (N), bytes (B) or a flag (BOOL); the types that Hearth
// uses.
class attribute {
public:
    enum class type : std::uint8_t { text, number, bytes, flag };

    [[nodiscard]] static attribute text(std::string value) {
        return {type::text, std::move(value)};
    }
    [[nodiscard]] static attribute number(std::int64_t value);
    [[nodiscard]] static attribute bytes(std::string value) {
        return {type::bytes, std::move(value)};
    }
    [[nodiscard]] static attribute flag(bool value) { return {type::flag, value ? "true" : ""}; }

    [[nodiscard]] type kind() const noexcept { return type_; }
    // Text and bytes as they are, numbers in decimal.
    [[nodiscard]] const std::string& raw() const noexcept { return value_; }

private:
    attribute(type kind, std::string value) : type_(kind), value_(std::move(value)) {}
    type type_;
    std::string value_;
};

class item : public std::map<std::string, attribute, std::less<>> {
public:
    // What is absent or of another type is empty, 0 or false.
    [[nodiscard]] std::string text(std::string_view name) const;
    [[nodiscard]] std::string bytes(std::string_view name) const;
    [[nodiscard]] std::int64_t number(std::string_view name) const;
    [[nodiscard]] bool flag(std::string_view name) const;
};

// The expressions of one call: names behind "#name", values behind ":value".
struct expressions {
    std::string condition;
    std::string update;
    std::string key_condition;
    std::string filter;
    std::map<std::string, std::string> names;
    item values;
};

// One DynamoDB table, in AWS JSON 1.0. A condition that does not hold is errc::conflict; a table
// that does not exist errc::unavailable; an item that does not exist is nothing. What is given by
// reference is read before the call returns, not when its task runs. Ring thread only.
class table {
public:
    static constexpr std::size_t item_bytes_max = 400u << 10;  // names and values together
    static constexpr std::size_t batch_items_max = 25;
    static constexpr std::size_t batch_keys_max = 100;

    // `api` is for DynamoDB and outlives this.
    table(client& api, std::string name) : api_(api), name_(std::move(name)) {}

    // Reads see all writes before them.
    task<result<std::optional<item>>> get(item key, deadline until);
    // Of the items with these keys (1 to batch_keys_max, no two alike) the attributes that
    // `projection` names, in any order; those that do not exist are left out. Reads see all writes
    // before them.
    task<result<std::vector<item>>> get_all(std::vector<item> keys, std::string projection,
                                            deadline until);
    task<result<>> put(const item& what, const expressions& how, deadline until);
    task<result<>> update(const item& key, const expressions& how, deadline until);
    task<result<>> remove(const item& key, const expressions& how, deadline until);

    struct page {
        std::vector<item> items;
        item next;  // where the next page starts; empty on the last
    };
    // In the order of the index's (or, when `index` is empty, the table's) sort key.
    task<result<page>> query(const std::string& index, const expressions& how, std::size_t limit,
                             const item& start, deadline until);
    // Reads the whole table, page by page.
    task<result<page>> scan(const expressions& how, const item& start, deadline until);
    // Any number of keys, in batches; what DynamoDB leaves unprocessed is sent again, with growing
    // pauses, until `until`.
    task<result<>> remove_all(std::vector<item> keys, deadline until);

private:
    task<result<http::client_response>> ask(std::string operation, std::string body,
                                            deadline until);
    task<result<page>> ask_page(std::string operation, std::string body, deadline until);
    task<result<>> remove_batch(std::vector<item> keys, deadline until);
    // Before what DynamoDB left `count` of unprocessed in the `round`th answer is asked for again.
    task<result<>> pause_for_unprocessed(std::size_t count, int round, deadline until);

    client& api_;
    std::string name_;
};

}  // namespace hearth::aws
