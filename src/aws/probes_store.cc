// The probes of S3 and DynamoDB.

#include <array>

#include "aws/dynamodb.h"
#include "aws/function_table.h"
#include "aws/probe_support.h"
#include "aws/s3.h"
#include "base/concat.h"
#include "base/ids.h"
#include "base/json.h"

namespace hearth::aws {
namespace {

constexpr std::string_view s3_name = "S3";
constexpr std::string_view dynamodb_name = "DynamoDB";

// Who does what with which objects; docs/fleet.md, "Rights", has the same as policies.
struct object_right {
    program who;
    std::string_view prefix;
    bool reads;
    bool writes;
    bool uploads_in_parts;
    bool removes;
};
constexpr std::array object_rights{
    object_right{program::controller, "code/", true, true, true, true},
    object_right{program::controller, "events/", false, true, false, true},
    object_right{program::controller, "records/", true, true, false, true},
    object_right{program::worker, "code/", true, false, false, false},
    object_right{program::worker, "events/", true, false, false, true},
    object_right{program::worker, "records/", true, true, false, true},
};

task<void> try_reading(bucket& where, std::string_view prefix, std::vector<probe>& lines,
                       deadline until) {
    // It is not there: no name that Hearth gives ends so.
    const auto got = co_await where.get(concat(prefix, "probe-", make_uuid()), 1, until);
    lines.push_back(right_probe(s3_name, concat(where.name(), '/', prefix, '*'), "s3:GetObject",
                                without_value(got)));
}

task<void> try_writing(bucket& where, std::string_view prefix, std::vector<probe>& lines,
                       deadline until) {
    // A part of an upload that was never begun.
    const auto put = co_await where.upload_part(concat(prefix, "probe-", make_uuid()), make_uuid(),
                                                1, "probe", until);
    lines.push_back(right_probe(s3_name, concat(where.name(), '/', prefix, '*'), "s3:PutObject",
                                without_value(put)));
}

task<void> try_aborting(bucket& where, std::string_view prefix, std::vector<probe>& lines,
                        deadline until) {
    const auto put =
        co_await where.abort_upload(concat(prefix, "probe-", make_uuid()), make_uuid(), until);
    lines.push_back(right_probe(s3_name, concat(where.name(), '/', prefix, '*'),
                                "s3:AbortMultipartUpload", put));
}

// --- DynamoDB -----------------------------------------------------------------------------------

struct key_part {
    std::string_view name;
    std::string_view type;  // "HASH", "RANGE"
};

// Whether `schema` has exactly these parts.
bool has_key(simdjson::dom::element schema, std::initializer_list<key_part> wanted) {
    simdjson::dom::array parts;
    if (schema.get(parts) != simdjson::SUCCESS || parts.size() != wanted.size()) {
        return false;
    }
    for (const auto& each : wanted) {
        bool found = false;
        for (const auto part : parts) {
            std::string_view name;
            std::string_view type;
            found = found || (part["AttributeName"].get(name) == simdjson::SUCCESS &&
                              part["KeyType"].get(type) == simdjson::SUCCESS && name == each.name &&
                              type == each.type);
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

// By name, with its key and all attributes.
bool has_function_index(simdjson::dom::element description) {
    simdjson::dom::array indexes;
    if (description["GlobalSecondaryIndexes"].get(indexes) != simdjson::SUCCESS) {
        return false;
    }
    for (const auto each : indexes) {
        std::string_view name;
        std::string_view projection;
        simdjson::dom::element schema;
        if (each["IndexName"].get(name) == simdjson::SUCCESS &&
            name == function_table::index_name &&
            each["Projection"]["ProjectionType"].get(projection) == simdjson::SUCCESS &&
            projection == "ALL" && each["KeySchema"].get(schema) == simdjson::SUCCESS &&
            has_key(schema, {{"kind", "HASH"}, {"created", "RANGE"}})) {
            return true;
        }
    }
    return false;
}

result<std::string> judge(const std::string& answer, std::string_view key, bool wants_index) {
    const auto parsed = json::document::parse(answer);
    simdjson::dom::element description;
    simdjson::dom::element schema;
    std::string_view status;
    if (!parsed || parsed->root()["Table"].get(description) != simdjson::SUCCESS ||
        description["TableStatus"].get(status) != simdjson::SUCCESS ||
        description["KeySchema"].get(schema) != simdjson::SUCCESS) {
        return fail(errc::protocol, "the answer is not understood; is this DynamoDB?");
    }
    if (status != "ACTIVE" && status != "UPDATING") {
        return fail(errc::unavailable, concat("the table is ", status, ", not ACTIVE"));
    }
    if (!has_key(schema, {{key, "HASH"}})) {
        return fail(errc::invalid_argument,
                    concat("its key is not the one attribute ", key,
                           "; make it anew as docs/fleet.md, Tables, has it"));
    }
    if (wants_index && !has_function_index(description)) {
        return fail(errc::invalid_argument,
                    concat("it has no index ", function_table::index_name,
                           " over kind and created with all attributes; add it as docs/fleet.md, "
                           "Tables, has it"));
    }
    return concat("key ", key, wants_index ? concat(", index ", function_table::index_name) : "");
}

std::string named(const std::string& table) {
    json::writer body;
    body.begin_object();
    body.member("TableName", table);
    body.end_object();
    return std::move(body).take();
}

// False when nothing else can be learned of this table.
task<bool> describe(client& dynamodb, std::string table_name, std::string_view key,
                    bool wants_index, std::vector<probe>& lines, deadline until) {
    probe line{std::string(dynamodb_name), table_name, "dynamodb:DescribeTable", {}};
    auto answer = co_await ask(dynamodb, "DescribeTable", named(table_name), until);
    if (answer) {
        line.seen = judge(*answer, key, wants_index);
    } else {
        line.seen = std::unexpected(with_remedy(answer.error(), line.tried, table_name));
    }
    lines.push_back(std::move(line));
    co_return answer || answer.error().code == errc::permission_denied;
}

// What readers rely on is `expires_at` itself; the time to live only saves room.
task<void> look_at_time_to_live(client& dynamodb, std::string table_name, std::vector<probe>& lines,
                                deadline until) {
    probe line{std::string(dynamodb_name), table_name, "dynamodb:DescribeTimeToLive", {}};
    auto answer = co_await ask(dynamodb, "DescribeTimeToLive", named(table_name), until);
    if (!answer) {
        line.seen = std::unexpected(with_remedy(answer.error(), line.tried, table_name));
    } else {
        const auto parsed = json::document::parse(*answer);
        simdjson::dom::element described;
        std::string_view status;
        std::string_view name;
        const bool is_on =
            parsed && parsed->root()["TimeToLiveDescription"].get(described) == simdjson::SUCCESS &&
            described["TimeToLiveStatus"].get(status) == simdjson::SUCCESS &&
            (status == "ENABLED" || status == "ENABLING") &&
            described["AttributeName"].get(name) == simdjson::SUCCESS && name == "expires_at";
        line.seen = is_on ? "old records are deleted by expires_at"
                          : "time to live by expires_at is off: old records are never deleted and "
                            "cost room";
    }
    lines.push_back(std::move(line));
}

enum class write_right : std::uint8_t { put, update, remove };

// A write under a condition that holds for no item.
task<void> try_write(table& where, const std::string& name, std::string_view key, write_right which,
                     std::vector<probe>& lines, deadline until) {
    item what;
    what.emplace(std::string(key), attribute::text(concat("probe-", make_uuid())));
    expressions never{.condition = "attribute_exists(#key) AND attribute_not_exists(#key)"};
    never.names = {{"#key", std::string(key)}};
    if (which == write_right::put) {
        const auto put = co_await where.put(what, never, until);
        lines.push_back(right_probe(dynamodb_name, name, "dynamodb:PutItem", put));
    } else if (which == write_right::update) {
        never.update = "SET #write = :write";
        never.names.emplace("#write", "write");
        never.values.emplace(":write", attribute::text("probe"));
        const auto updated = co_await where.update(what, never, until);
        lines.push_back(right_probe(dynamodb_name, name, "dynamodb:UpdateItem", updated));
    } else {
        const auto removed = co_await where.remove(what, never, until);
        lines.push_back(right_probe(dynamodb_name, name, "dynamodb:DeleteItem", removed));
    }
}

task<void> try_get(table& where, const std::string& name, std::string_view key,
                   std::vector<probe>& lines, deadline until) {
    item what;
    what.emplace(std::string(key), attribute::text(concat("probe-", make_uuid())));
    const auto got = co_await where.get(std::move(what), until);
    lines.push_back(right_probe(dynamodb_name, name, "dynamodb:GetItem", without_value(got)));
}

}  // namespace

task<std::vector<probe>> probe_bucket(client& s3, std::string bucket_name, program asking,
                                      deadline until) {
    std::vector<probe> lines;
    bucket where(s3, std::move(bucket_name));
    probe first{std::string(s3_name), where.name(), "s3:ListBucket", "there"};
    auto keys = co_await where.list("code/", "", 1, until);
    if (!keys) {
        first.seen = std::unexpected(with_remedy(keys.error(), first.tried, where.name()));
    }
    lines.push_back(std::move(first));
    if (!keys && keys.error().code != errc::permission_denied) {
        co_return lines;
    }
    for (const auto& each : object_rights) {
        if (each.who != asking) {
            continue;
        }
        if (each.reads) {
            co_await try_reading(where, each.prefix, lines, until);
        }
        if (each.writes) {
            co_await try_writing(where, each.prefix, lines, until);
        }
        if (each.uploads_in_parts) {
            co_await try_aborting(where, each.prefix, lines, until);
        }
        if (each.removes) {
            lines.push_back(untried_probe(s3_name, concat(where.name(), '/', each.prefix, '*'),
                                          "s3:DeleteObject"));
        }
    }
    co_return lines;
}

task<std::vector<probe>> probe_function_table(client& dynamodb, std::string table_name,
                                              program asking, deadline until) {
    constexpr std::string_view key = "id";
    std::vector<probe> lines;
    if (!co_await describe(dynamodb, table_name, key, true, lines, until)) {
        co_return lines;
    }
    table where(dynamodb, table_name);
    co_await try_get(where, table_name, key, lines, until);
    if (asking == program::controller) {
        for (const auto which : {write_right::put, write_right::update, write_right::remove}) {
            co_await try_write(where, table_name, key, which, lines, until);
        }
        expressions any{.key_condition = "#kind = :kind"};
        any.names = {{"#kind", "kind"}};
        any.values.emplace(":kind", attribute::text("probe"));
        const auto page =
            co_await where.query(std::string(function_table::index_name), any, 1, {}, until);
        lines.push_back(right_probe(dynamodb_name,
                                    concat(table_name, "/index/", function_table::index_name),
                                    "dynamodb:Query", without_value(page)));
    }
    co_return lines;
}

task<std::vector<probe>> probe_invocation_table(client& dynamodb, std::string table_name,
                                                program asking, deadline until) {
    constexpr std::string_view key = "job_id";
    std::vector<probe> lines;
    if (!co_await describe(dynamodb, table_name, key, false, lines, until)) {
        co_return lines;
    }
    co_await look_at_time_to_live(dynamodb, table_name, lines, until);
    table where(dynamodb, table_name);
    co_await try_get(where, table_name, key, lines, until);
    if (asking == program::worker) {
        item absent;
        absent.emplace(std::string(key), attribute::text(concat("probe-", make_uuid())));
        const auto got = co_await where.get_all({absent}, std::string(key), until);
        lines.push_back(
            right_probe(dynamodb_name, table_name, "dynamodb:BatchGetItem", without_value(got)));
    }
    co_await try_write(where, table_name, key, write_right::put, lines, until);
    co_return lines;
}

}  // namespace hearth::aws
