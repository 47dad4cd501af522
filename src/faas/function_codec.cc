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
    const auto root = parsed->root();
    function out;
    std::string_view missing;
    const auto read = [&](const char* name, auto& into) {
        if (root[name].get(into) != simdjson::SUCCESS) {
            missing = name;
        }
    };
    const auto read_text = [&](const char* name, std::string& into) {
        std::string_view value;
        read(name, value);
        into = value;
    };
    std::int64_t version = 0;
    bool is_zip = false;
    read("v", version);
    read_text("id", out.id);
    read_text("name", out.name);
    read_text("runtime", out.runtime);
    read_text("handler", out.handler);
    read("memoryMb", out.memory_mb);
    read("timeoutMs", out.timeout_ms);
    read("isZip", is_zip);
    read_text("codeFile", out.code_file);
    read_text("codeSha256", out.code_sha256);
    read("codeSize", out.code_size);
    read("revision", out.revision);
    read("createdAt", out.created_at);
    read("updatedAt", out.updated_at);
    out.kind = is_zip ? code_kind::zip : code_kind::python_file;
    simdjson::dom::array list;
    read("handlers", list);
    for (const auto each : list) {
        std::string_view name;
        if (each.get(name) != simdjson::SUCCESS) {
            return corrupt("a handler is no text");
        }
        out.handlers.emplace_back(name);
    }
    read("env", list);
    for (const auto each : list) {
        std::string_view name;
        std::string_view value;
        if (each.at(0).get(name) != simdjson::SUCCESS ||
            each.at(1).get(value) != simdjson::SUCCESS) {
            return corrupt("a variable is no pair of texts");
        }
        out.env.emplace_back(name, value);
    }
    if (!missing.empty() || version != format_version) {
        return corrupt(missing.empty() ? "another version of Hearth wrote it" : missing);
    }
    return out;
}

}  // namespace hearth::faas
