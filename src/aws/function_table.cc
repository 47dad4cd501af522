#include "aws/function_table.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "base/concat.h"
#include "base/ids.h"
#include "faas/function_codec.h"

namespace hearth::aws {
namespace {

constexpr std::string_view all_functions = "function";  // the index's one partition
constexpr std::size_t place_digits = 16;                // microseconds, until the year 2286

item key_of(std::string_view id) {
    item key;
    key.emplace("id", attribute::text(std::string(id)));
    return key;
}

std::unexpected<error> not_found(std::string_view id) {
    return fail(errc::not_found, concat("there is no function with the id ", id));
}

// Of an item that this write may have made itself, in an attempt whose answer was lost.
bool is_own(const std::optional<item>& found, std::string_view token) {
    return found && found->text("write") == token;
}

// "<16 digits>-<12 hexadecimal digits>": what next_place() makes.
bool is_place(std::string_view text) {
    constexpr std::size_t random_digits = 12;
    return text.size() == place_digits + 1 + random_digits && text[place_digits] == '-' &&
           text.substr(0, place_digits).find_first_not_of("0123456789") == std::string_view::npos &&
           text.substr(place_digits + 1).find_first_not_of("0123456789abcdef") ==
               std::string_view::npos;
}

}  // namespace

// Places sort by creation; on one host they never repeat, and between hosts a random part decides.
std::string function_table::next_place() {
    last_place_us_ = std::max(wall_clock_ms() * 1000, last_place_us_ + 1);
    std::string digits = concat(last_place_us_);
    digits.insert(0, place_digits - std::min(place_digits, digits.size()), '0');
    std::array<std::byte, 6> random;
    random_bytes(random);
    return concat(digits, '-', to_hex(random));
}

task<result<>> function_table::create(const faas::function& record, deadline until) {
    const std::string token = make_uuid();
    item what = key_of(record.id);
    what.emplace("kind", attribute::text(std::string(all_functions)));
    what.emplace("created", attribute::text(next_place()));
    what.emplace("revision", attribute::number(record.revision));
    what.emplace("record", attribute::text(encode(record)));
    what.emplace("write", attribute::text(token));
    auto stored = co_await table_.put(what, {.condition = "attribute_not_exists(id)"}, until);
    if (stored || stored.error().code != errc::conflict) {
        co_return stored;
    }
    auto found = co_await table_.get(key_of(record.id), until);
    if (!found) {
        co_return propagate(found);  // whose it is cannot be told
    }
    if (is_own(*found, token)) {
        co_return result<>{};
    }
    co_return fail(errc::conflict, concat("a function with the id ", record.id, " exists"));
}

task<result<faas::function>> function_table::get(std::string_view id, deadline until) {
    auto found = co_await table_.get(key_of(id), until);
    if (!found) {
        co_return propagate(found);
    }
    if (!*found) {
        co_return not_found(id);
    }
    co_return faas::decode_function((*found)->text("record"));
}

task<result<>> function_table::update(const faas::function& record, deadline until) {
    const std::string token = make_uuid();
    expressions how;
    how.condition = "attribute_exists(id) AND #revision = :previous";
    how.update = "SET #revision = :revision, #record = :record, #write = :write";
    how.names = {{"#revision", "revision"}, {"#record", "record"}, {"#write", "write"}};
    how.values.emplace(":previous", attribute::number(record.revision - 1));
    how.values.emplace(":revision", attribute::number(record.revision));
    how.values.emplace(":record", attribute::text(encode(record)));
    how.values.emplace(":write", attribute::text(token));
    auto stored = co_await table_.update(key_of(record.id), how, until);
    if (stored || stored.error().code != errc::conflict) {
        co_return stored;
    }
    auto found = co_await table_.get(key_of(record.id), until);
    if (!found) {
        co_return propagate(found);
    }
    if (is_own(*found, token)) {
        co_return result<>{};
    }
    if (!*found) {
        co_return not_found(record.id);
    }
    co_return fail(errc::conflict, concat("the function ", record.id, " is at revision ",
                                          (*found)->number("revision"), "; revision ",
                                          record.revision, " does not follow it"));
}

task<result<>> function_table::remove(std::string_view id, deadline until) {
    // A removal that is sent again after its answer was lost finds nothing, and so does a second
    // one. What was there a moment ago and is gone now is what the caller wanted, whoever did it.
    auto found = co_await table_.get(key_of(id), until);
    if (!found) {
        co_return propagate(found);
    }
    if (!*found) {
        co_return not_found(id);
    }
    co_return co_await table_.remove(key_of(id), {}, until);
}

task<result<faas::page<faas::function>>> function_table::list(std::size_t limit,
                                                              std::string_view cursor,
                                                              deadline until) {
    if (limit < 1 || limit > page_max) {
        co_return fail(errc::invalid_argument, concat("a page has 1 to ", page_max, " functions"));
    }
    if (!cursor.empty() && !is_place(cursor)) {
        co_return fail(errc::invalid_argument, "the cursor is not one that a list has returned");
    }
    std::vector<item> found;
    item start;
    do {  // DynamoDB ends a page at 1 MB, whatever the limit
        expressions how;
        how.key_condition =
            cursor.empty() ? "#kind = :kind" : "#kind = :kind AND #created > :cursor";
        how.names = {{"#kind", "kind"}};
        how.values.emplace(":kind", attribute::text(std::string(all_functions)));
        if (!cursor.empty()) {
            how.names.emplace("#created", "created");
            how.values.emplace(":cursor", attribute::text(std::string(cursor)));
        }
        // One more than wanted tells whether there is another page.
        auto got = co_await table_.query(std::string(index_name), how, limit + 1 - found.size(),
                                         start, until);
        if (!got) {
            co_return propagate(got);
        }
        std::ranges::move(got->items, std::back_inserter(found));
        start = std::move(got->next);
    } while (!start.empty() && found.size() <= limit);
    faas::page<faas::function> page;
    if (found.size() > limit) {
        found.resize(limit);
        page.cursor = found.back().text("created");
    }
    for (const auto& each : found) {
        auto record = faas::decode_function(each.text("record"));
        if (!record) {
            co_return propagate(record);
        }
        page.items.push_back(std::move(*record));
    }
    co_return page;
}

}  // namespace hearth::aws
