#include "faas/function_codec.h"

#include "base/concat.h"
#include "base/json.h"

namespace hearth::faas {
namespace {

constexpr std::int64_t format_version = 1;

}  // namespace

std::string encode(const function& record) {
    json::writer out;
    out.begin_object();
    out.member("v", format_version);
    out.member("id", record.id);
    out.member("name", record.name);
    out.member("runtime", record.runtime);
    out.member("handler", record.handler);
    out.begin_array("handlers");
    for (const auto& each : record.handlers) {
        out.value(each);
    }
    out.end_array();
    out.member("memoryMb", record.memory_mb);
    out.member("timeoutMs", record.timeout_ms);
    out.key("env");  // pairs: their order is the user's
    out.begin_array();
    for (const auto& [name, value] : record.env) {
        out.begin_array();
        out.value(name);
        out.value(value);
        out.end_array();
    }
    out.end_array();
    out.member("isZip", record.kind == code_kind::zip);
    out.member("codeFile", record.code_file);
    out.member("codeSha256", record.code_sha256);
    out.member("codeSize", record.code_size);
    out.member("revision", record.revision);
    out.member("createdAt", record.created_at);
    out.member("updatedAt", record.updated_at);
    out.end_object();
    return std::move(out).take();
}

result<function> decode_function(std::string_view text) {
    const auto corrupt = [](std::string_view what) {
        return fail(errc::corrupt, concat("a stored function is damaged: ", what));
    };
    const auto parsed = json::document::parse(text);
    if (!parsed) {
        return corrupt(parsed.error().message);
    }
    json::member_reader from(parsed->root());
    const auto version = from.integer("v");
    function out;
    out.id = from.text("id");
    out.name = from.text("name");
    out.runtime = from.text("runtime");
    out.handler = from.text("handler");
    out.memory_mb = from.integer("memoryMb");
    out.timeout_ms = from.integer("timeoutMs");
    out.kind = from.flag("isZip") ? code_kind::zip : code_kind::python_file;
    out.code_file = from.text("codeFile");
    out.code_sha256 = from.text("codeSha256");
    out.code_size = from.integer("codeSize");
    out.revision = from.integer("revision");
    out.created_at = from.integer("createdAt");
    out.updated_at = from.integer("updatedAt");
    const auto handlers = from.array("handlers");
    const auto variables = from.array("env");
    if (!from.missing().empty() || version != format_version) {
        return corrupt(from.missing().empty() ? "another version of Hearth wrote it"
                                              : from.missing());
    }
    for (const auto each : handlers) {
        std::string_view name;
        if (each.get(name) != simdjson::SUCCESS) {
            return corrupt("a handler is no text");
        }
        out.handlers.emplace_back(name);
    }
    for (const auto each : variables) {
        std::string_view name;
        std::string_view value;
        if (each.at(0).get(name) != simdjson::SUCCESS ||
            each.at(1).get(value) != simdjson::SUCCESS) {
            return corrupt("a variable is no pair of texts");
        }
        out.env.emplace_back(name, value);
    }
    return out;
}

}  // namespace hearth::faas
