#include "aws/invocation_log.h"

#include <algorithm>

#include "base/concat.h"
#include "base/ids.h"
#include "base/log.h"
#include "faas/record_codec.h"

namespace hearth::aws {
namespace {

item key_of(std::string_view job_id) {
    item key;
    key.emplace("job_id", attribute::text(std::string(job_id)));
    return key;
}

std::unexpected<error> not_found(std::string_view job_id) {
    return fail(errc::not_found, concat("there is no record of the job ", job_id));
}

// The record as the item's attributes have it: they change while `record` stays what it was.
result<faas::invocation_record> assemble(const item& from, std::string_view encoded) {
    auto record = faas::decode_record(encoded);
    if (!record) {
        return record;
    }
    if (!faas::status_from_string(from.text("status"), record->status)) {
        return fail(errc::corrupt, "a stored invocation record has no status");
    }
    record->attempts = from.number("attempts");
    record->created_at = from.number("createdAt");
    record->updated_at = from.number("updatedAt");
    record->end.not_started = from.flag("notStarted");
    return record;
}

}  // namespace

invocation_log::invocation_log(client& api, blobs& large_records, invocation_log_settings settings)
    : table_(api, settings.table_name),
      large_records_(large_records),
      settings_(std::move(settings)) {}

// In seconds, as DynamoDB's TTL wants it. A final record outlives the time in which its job's id
// alone would say that it waits in the queue.
attribute invocation_log::expiry(const faas::invocation_record& record, epoch_ms created) const {
    const auto now = settings_.now();
    const auto open = milliseconds(settings_.open_retention).count();
    const auto until =
        faas::is_final(record.status)
            ? std::max(now + milliseconds(settings_.final_retention).count(), created + open)
            : now + open;
    return attribute::number((until + 999) / 1000);
}

result<faas::invocation_record> invocation_log::without_record(std::string_view job_id) const {
    const auto issued = settings_.issued_at(job_id);
    if (!issued || *issued + milliseconds(settings_.open_retention).count() <= settings_.now()) {
        return not_found(job_id);
    }
    faas::invocation_record record;
    record.job_id = job_id;
    record.created_at = record.updated_at = *issued;
    return record;
}

// Nothing for one that has expired: the TTL deletes within days, not at the second.
task<result<std::optional<item>>> invocation_log::find(std::string_view job_id, deadline until) {
    auto found = co_await table_.get(key_of(job_id), until);
    if (found && *found && (*found)->number("expires_at") <= settings_.now() / 1000) {
        co_return std::optional<item>();
    }
    co_return found;
}

// All but where the record itself is: `record` or `blob`.
item invocation_log::item_of(const faas::invocation_record& record,
                             const std::string& token) const {
    const auto now = settings_.now();
    const bool ended = faas::is_final(record.status);
    const auto updated = record.updated_at != 0 ? record.updated_at : now;
    const auto created = record.created_at != 0 ? record.created_at : updated;
    item what = key_of(record.job_id);
    what.emplace("status", attribute::text(std::string(to_string(record.status))));
    what.emplace("attempts", attribute::number(record.attempts));
    what.emplace("createdAt", attribute::number(created));
    what.emplace("updatedAt", attribute::number(updated));
    what.emplace("expires_at", expiry(record, created));
    what.emplace("write", attribute::text(token));
    if (ended) {
        what.emplace("ended", attribute::flag(true));
        what.emplace("notStarted", attribute::flag(record.end.not_started));
    }
    return what;
}

task<result<>> invocation_log::create(const faas::invocation_record& record, deadline until) {
    const std::string token = make_uuid();
    item what = item_of(record, token);
    what.emplace("record", attribute::bytes(faas::encode(record)));
    const expressions how{.condition = "attribute_not_exists(job_id)"};
    auto stored = co_await table_.put(what, how, until);
    if (stored || stored.error().code != errc::conflict) {
        co_return stored;
    }
    auto found = co_await table_.get(key_of(record.job_id), until);
    if (!found) {
        co_return propagate(found);  // whose it is cannot be told
    }
    if (*found && (*found)->text("write") == token) {
        co_return result<>{};  // an attempt whose answer was lost
    }
    co_return fail(errc::conflict, concat("a record of the job ", record.job_id, " exists"));
}

task<result<>> invocation_log::mark_running(const faas::invocation_record& record, deadline until) {
    item what = item_of(record, make_uuid());
    what.emplace("record", attribute::bytes(faas::encode(record)));
    auto stored = co_await table_.put(what, {.condition = "attribute_not_exists(ended)"}, until);
    if (!stored && stored.error().code == errc::conflict) {
        co_return fail(errc::conflict,
                       concat("the job ", record.job_id, " has its outcome already"));
    }
    co_return stored;
}

// The outcome takes the whole item's place. One conditional write decides which outcome stands.
task<result<bool>> invocation_log::finish(const faas::invocation_record& record, deadline until) {
    if (!faas::is_final(record.status)) {
        co_return fail(errc::invalid_argument, "only a final status finishes a record");
    }
    const std::string token = make_uuid();
    item what = item_of(record, token);
    std::string blob;
    if (std::string encoded = faas::encode(record); encoded.size() <= inline_bytes_max) {
        what.emplace("record", attribute::bytes(std::move(encoded)));
    } else {
        auto stored = co_await large_records_.put(record.job_id, std::move(encoded), until);
        if (!stored) {
            co_return propagate(stored);
        }
        blob = std::move(*stored);
        what.emplace("blob", attribute::text(blob));
    }
    const expressions how{.condition = "attribute_not_exists(ended)"};
    auto stored = co_await table_.put(what, how, until);
    if (stored) {
        co_return true;
    }
    if (stored.error().code != errc::conflict) {
        co_return propagate(stored);  // the blob stays: the write may have happened
    }
    auto found = co_await table_.get(key_of(record.job_id), until);
    if (!found) {
        co_return propagate(found);
    }
    if (*found && (*found)->text("write") == token) {
        co_return true;  // an attempt whose answer was lost
    }
    if (!blob.empty()) {
        [[maybe_unused]] const auto dropped = co_await large_records_.remove(blob, until);
    }
    co_return false;
}

task<result<std::vector<bool>>> invocation_log::ended(std::vector<std::string> job_ids,
                                                      deadline until) {
    std::vector<item> keys;
    keys.reserve(job_ids.size());
    for (const std::string& each : job_ids) {
        keys.push_back(key_of(each));
    }
    auto found = co_await table_.get_all(std::move(keys), "job_id, ended, expires_at", until);
    if (!found) {
        co_return propagate(found);
    }
    std::vector<bool> ended(job_ids.size(), false);
    for (const item& each : *found) {
        const auto place = std::ranges::find(job_ids, each.text("job_id"));
        if (place != job_ids.end() && each.flag("ended") &&
            each.number("expires_at") > settings_.now() / 1000) {
            ended[static_cast<std::size_t>(place - job_ids.begin())] = true;
        }
    }
    co_return ended;
}

task<result<faas::invocation_record>> invocation_log::get(std::string_view job_id, deadline until) {
    auto found = co_await find(job_id, until);
    if (!found) {
        co_return propagate(found);
    }
    if (!*found) {
        co_return without_record(job_id);
    }
    const auto blob = (*found)->text("blob");
    if (blob.empty()) {
        co_return assemble(**found, (*found)->bytes("record"));
    }
    auto content = co_await large_records_.get(blob, until);
    if (!content && content.error().code == errc::not_found) {
        co_return fail(errc::corrupt, concat("the outcome of the job ", job_id,
                                             " is gone from the bucket: ", blob));
    }
    if (!content) {
        co_return propagate(content);
    }
    co_return assemble(**found, *content);
}

task<result<std::int64_t>> invocation_log::expire(epoch_ms before, deadline until) {
    std::int64_t count = 0;
    item start;
    do {
        expressions how;
        how.filter = "#ended = :true AND #updated < :before";
        how.names = {{"#ended", "ended"}, {"#updated", "updatedAt"}};
        how.values.emplace(":true", attribute::flag(true));
        how.values.emplace(":before", attribute::number(before));
        auto page = co_await table_.scan(how, start, until);
        if (!page) {
            co_return propagate(page);
        }
        std::vector<item> keys;
        for (const auto& each : page->items) {
            if (const auto blob = each.text("blob"); !blob.empty()) {
                if (auto removed = co_await large_records_.remove(blob, until); !removed) {
                    co_return propagate(removed);
                }
            }
            keys.push_back(key_of(each.text("job_id")));
        }
        const auto removed_here = static_cast<std::int64_t>(keys.size());
        if (auto removed = co_await table_.remove_all(std::move(keys), until); !removed) {
            co_return propagate(removed);
        }
        count += removed_here;
        start = std::move(page->next);
    } while (!start.empty());
    co_return count;
}

}  // namespace hearth::aws
