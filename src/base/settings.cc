#include "base/settings.h"

#include <algorithm>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/concat.h"
#include "base/env_file.h"
#include "base/json.h"
#include "base/unique_fd.h"

namespace hearth {
namespace {

constexpr std::size_t shown_bytes_max = 60;  // of a wrong value in a message
constexpr std::string_view file_suffix = "_FILE";

// A regular file's content. Not a pipe's: reading that could wait for ever.
result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
    const unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file) {
        return fail_errno(concat("cannot open ", path));
    }
    struct stat info{};
    if (::fstat(file.get(), &info) != 0) {
        return fail_errno(concat("cannot examine ", path));
    }
    if (!S_ISREG(info.st_mode)) {
        return fail(errc::invalid_argument, concat(path, " is not a regular file"));
    }
    std::string content(bytes_max + 1, '\0');
    std::size_t length = 0;
    while (length < content.size()) {
        const auto count = ::read(file.get(), content.data() + length, content.size() - length);
        if (count < 0) {
            return fail_errno(concat("cannot read ", path));
        }
        if (count == 0) {
            break;
        }
        length += static_cast<std::size_t>(count);
    }
    if (length > bytes_max) {
        return fail(errc::too_large, concat(path, " has more than ", bytes_max, " bytes"));
    }
    content.resize(length);
    return content;
}

// A wrong value as a message may show it: short, on one line, without a secret.
std::string presentable(const setting& declared, std::string_view value) {
    if (declared.secret) {
        return "its value";
    }
    // What stands before a host may be a password.
    if (const auto at = value.rfind('@');
        declared.kind == setting_kind::url && at != std::string_view::npos) {
        return concat("'***@", presentable(declared, value.substr(at + 1)).substr(1));
    }
    std::string shown;
    for (const char c : value.substr(0, shown_bytes_max)) {
        shown += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    }
    const auto text = json::replace_invalid_utf8(shown);
    return concat('\'', text, value.size() > shown_bytes_max ? "…'" : "'");
}

bool has_control_character(std::string_view text) {
    return std::ranges::any_of(text, [](char c) {
        return (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n') || c == 0x7f;
    });
}

}  // namespace

// Goes through the sources once and fills a `settings`.
class settings_reader {
public:
    settings_reader(std::span<const setting> declared, const setting_sources& from, settings& into)
        : declared_(declared), from_(from), into_(into) {}

    void read() {
        declare();
        read_settings_file();
        for (auto& value : into_.values_) {
            read_one(value);
        }
        find_unknown();
    }

    [[nodiscard]] std::vector<secret_reference> references() {
        std::vector<secret_reference> found;
        read_settings_file();
        for (const auto& declared : declared_) {
            const auto raw = find(declared);
            if (!raw || !raw->may_refer) {
                continue;
            }
            if (auto parsed = parse_reference(declared.name, raw->text); parsed && *parsed) {
                found.push_back(std::move(**parsed));
            }
        }
        return found;
    }

private:
    struct raw_value {
        std::string text;
        std::string source;
        bool may_refer = true;
    };

    void declare() {
        for (const auto& one : declared_) {
            HEARTH_CHECK(is_variable_name(one.name), "a setting's name is a variable's");
            HEARTH_CHECK(one.fallback.empty() || parse_setting(one, one.fallback),
                         "a setting's default is valid");
            const bool added =
                into_.index_.emplace(std::string(one.name), into_.values_.size()).second;
            HEARTH_CHECK(added, "a setting is declared once");
            into_.values_.push_back({.declared = &one, .text = {}, .source = {}});
        }
    }

    void read_settings_file() {
        if (from_.file.empty()) {
            return;
        }
        auto content = read_file(from_.file, env_file_bytes_max);
        if (!content) {
            if (from_.file_required || content.error().os_error != ENOENT) {
                problem(content.error().message);
            }
            return;
        }
        file_ = parse_env_file(*content);
        for (const auto& text : file_.problems) {
            problem(concat(from_.file, ", ", text));
        }
    }

    void problem(std::string text) { into_.problems_.push_back(std::move(text)); }

    void problem(const setting& declared, std::string_view source, std::string_view text) {
        problem(concat(declared.name, " (", source, "): ", text));
    }

    [[nodiscard]] std::optional<raw_value> in_environment(const std::string& name) const {
        const char* found = from_.environment(name.c_str());
        if (found == nullptr || *found == '\0') {
            return std::nullopt;
        }
        return raw_value{.text = found, .source = "environment"};
    }

    [[nodiscard]] std::optional<raw_value> in_file(std::string_view name) const {
        const auto* found = file_.find(name);
        if (found == nullptr || found->value.empty()) {
            return std::nullopt;
        }
        return raw_value{.text = found->value,
                         .source = concat(from_.file, ", line ", found->line)};
    }

    // NAME or NAME_FILE of one source, with the file's content in place of its name.
    std::optional<raw_value> choose(const setting& declared, std::optional<raw_value> plain,
                                    std::optional<raw_value> by_file) {
        if (!declared.secret || !by_file) {
            return plain;
        }
        if (plain) {
            problem(declared, plain->source,
                    concat("is set, and ", declared.name, file_suffix, " too; keep one"));
            return plain;
        }
        auto content = read_file(by_file->text, setting_bytes_max);
        const auto source = concat(declared.name, file_suffix, " in ", by_file->source);
        if (!content) {
            problem(declared, source, content.error().message);
            failed_ = true;
            return std::nullopt;
        }
        // Editors and echo end a file with a newline that is no part of a key.
        if (content->ends_with('\n')) {
            content->pop_back();
        }
        if (content->empty()) {
            problem(declared, source, concat(by_file->text, " is empty"));
            failed_ = true;
            return std::nullopt;
        }
        return raw_value{.text = std::move(*content), .source = source, .may_refer = false};
    }

    std::optional<raw_value> find(const setting& declared) {
        const std::string name(declared.name);
        const auto name_file = concat(name, file_suffix);
        failed_ = false;
        auto found = choose(declared, in_environment(name), in_environment(name_file));
        if (!found && !failed_) {
            found = choose(declared, in_file(name), in_file(name_file));
        }
        return found;
    }

    // The value behind a reference, in its place; false when there is a problem.
    bool resolve(const setting& declared, raw_value& raw) {
        auto reference = parse_reference(declared.name, raw.text);
        if (!reference) {
            problem(declared, raw.source, reference.error().message);
            return false;
        }
        if (!reference->has_value()) {
            return true;
        }
        if (!from_.resolver) {
            problem(declared, raw.source,
                    "refers to a service of AWS, which this program does not ask; set the value");
            return false;
        }
        auto value = from_.resolver(**reference);
        if (!value) {
            problem(declared, raw.source, concat("cannot be resolved: ", value.error().message));
            return false;
        }
        raw.source = concat((*reference)->service == secret_service::ssm ? "ssm" : "secretsmanager",
                            " by ", raw.source);
        raw.text = std::move(*value);
        return true;
    }

    void read_one(settings::value& value) {
        const setting& declared = *value.declared;
        auto raw = find(declared);
        if (!raw) {
            if (failed_) {
                return;
            }
            if (declared.required && declared.fallback.empty()) {
                problem(concat(declared.name, ": is required and not set: ", declared.help));
                return;
            }
            if (declared.fallback.empty()) {
                return;
            }
            raw = raw_value{
                .text = std::string(declared.fallback), .source = "default", .may_refer = false};
        }
        if (raw->may_refer && !resolve(declared, *raw)) {
            return;
        }
        check(value, declared, std::move(*raw));
    }

    void check(settings::value& value, const setting& declared, raw_value raw) {
        if (raw.text.empty()) {
            problem(declared, raw.source, "is empty");
            return;
        }
        if (raw.text.size() > setting_bytes_max) {
            problem(declared, raw.source,
                    concat("has ", raw.text.size(), " bytes; at most ", setting_bytes_max));
            return;
        }
        if (has_control_character(raw.text) || !json::is_valid_utf8(raw.text)) {
            problem(declared, raw.source, "has a control character or is not UTF-8");
            return;
        }
        const auto number = parse_setting(declared, raw.text);
        if (!number) {
            problem(declared, raw.source,
                    concat(presentable(declared, raw.text), " ", number.error().message));
            return;
        }
        value.number = *number;
        value.text = std::move(raw.text);
        value.source = std::move(raw.source);
    }

    void find_unknown() {
        for (const auto& entry : file_.entries) {
            const std::string_view name = entry.name;
            const auto base = name.ends_with(file_suffix)
                                  ? name.substr(0, name.size() - file_suffix.size())
                                  : std::string_view();
            const auto of_file = into_.index_.find(base);
            const bool known = into_.index_.contains(name) ||
                               (of_file != into_.index_.end() && declared_[of_file->second].secret);
            if (!known) {
                into_.unknown_.emplace_back(name);
            }
        }
    }

    std::span<const setting> declared_;
    const setting_sources& from_;
    settings& into_;
    env_file file_;
    bool failed_ = false;  // the last find() met a problem and has told it
};

settings settings::load(std::span<const setting> declared, const setting_sources& from) {
    settings loaded;
    settings_reader(declared, from, loaded).read();
    return loaded;
}

std::vector<secret_reference> find_references(std::span<const setting> declared,
                                              const setting_sources& from) {
    settings unused;
    return settings_reader(declared, from, unused).references();
}

const settings::value& settings::at(std::string_view name, setting_kind kind) const {
    const auto found = index_.find(name);
    HEARTH_CHECK(found != index_.end(), "a setting is declared before it is asked for");
    const value& entry = values_[found->second];
    HEARTH_CHECK(entry.declared->kind == kind, "a setting is asked for by its kind");
    return entry;
}

bool settings::has(std::string_view name) const {
    const auto found = index_.find(name);
    HEARTH_CHECK(found != index_.end(), "a setting is declared before it is asked for");
    return !values_[found->second].source.empty();
}

const std::string& settings::text(std::string_view name) const {
    const auto found = index_.find(name);
    const bool is_url =
        found != index_.end() && values_[found->second].declared->kind == setting_kind::url;
    return at(name, is_url ? setting_kind::url : setting_kind::text).text;
}

std::int64_t settings::integer(std::string_view name) const {
    HEARTH_CHECK(has(name), "a number is asked for only when it is set");
    return at(name, setting_kind::integer).number;
}

bool settings::boolean(std::string_view name) const {
    HEARTH_CHECK(has(name), "a boolean is asked for only when it is set");
    return at(name, setting_kind::boolean).number != 0;
}

std::int64_t settings::bytes(std::string_view name) const {
    HEARTH_CHECK(has(name), "a size is asked for only when it is set");
    return at(name, setting_kind::bytes).number;
}

milliseconds settings::duration(std::string_view name) const {
    HEARTH_CHECK(has(name), "a duration is asked for only when it is set");
    return milliseconds(at(name, setting_kind::duration).number);
}

}  // namespace hearth
