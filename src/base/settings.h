#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

// Settings of a program: declared in one table, read from the environment and from a file, checked
// as a whole before anything starts. Whoever starts a program for the first time has several things
// wrong at once, so every problem is collected and none ends the search.
//
// Where a value comes from, the first that has it:
//   1. NAME, or for a secret NAME_FILE (the value is that file's content), in the environment
//   2. the same two in the file of settings (base/env_file.h)
//   3. the default
// A variable that is set to nothing counts as not set: that is how tools write "none".
//
// A value "ssm:NAME" or "secretsmanager:NAME" or "secretsmanager:NAME#MEMBER" is a reference: the
// resolver fetches what it names. What a file or a resolver gives is taken as it stands.
//
// Start-up, one thread. Values of secrets never appear in a problem or in the table.

namespace hearth {

inline constexpr std::size_t setting_bytes_max = 64 * 1024;  // of one value, wherever it is from

enum class setting_kind : std::uint8_t {
    text,
    integer,   // whole number in minimum..maximum
    boolean,   // 1 true yes on, 0 false no off
    url,       // SCHEME://HOST[:PORT][/PATH]; SCHEME one of `schemes`
    bytes,     // 512, 64KB, 10MiB, 2GB: units are powers of 1024, as memoryMb counts
    duration,  // 250ms, 30s, 5m, 12h, 7d
};

// One line of a program's table. The texts are literals and outlive everything.
struct setting {
    std::string_view name;
    setting_kind kind = setting_kind::text;
    std::string_view help;                    // what it is, for people
    std::string_view fallback = {};           // default as it would be written; empty: none
    bool required = false;                    // a problem when it is set nowhere
    bool secret = false;                      // may come from NAME_FILE; is never shown
    std::int64_t minimum = 0;                 // integer; bytes; duration in milliseconds
    std::int64_t maximum = INT64_MAX;         //
    std::string_view schemes = "http,https";  // url
    // What more must hold. Its message stands behind the value and must not repeat it: "is not …".
    result<> (*check)(std::string_view text) = nullptr;
};

enum class secret_service : std::uint8_t { ssm, secretsmanager };

struct secret_reference {
    std::string setting;  // the setting that has it
    secret_service service = secret_service::ssm;
    std::string name;    // of the parameter or secret; an ARN too
    std::string member;  // of a secret that is a JSON object; empty: the whole secret

    bool operator==(const secret_reference&) const = default;
};

// A reference in `value`, nothing when it is none, errc::invalid_argument when it names nothing.
[[nodiscard]] result<std::optional<secret_reference>> parse_reference(std::string_view setting,
                                                                      std::string_view value);

struct setting_sources {
    // As getenv(3): null when a variable is not set.
    std::function<const char*(const char* name)> environment = ::getenv;
    std::string file = ".env";   // empty: none
    bool file_required = false;  // someone asked for this very file: its absence is a problem
    // Answers references. Absent: each reference is a problem. It is called while settings are
    // read; a program that must wait for an answer asks find_references() first.
    std::function<result<std::string>(const secret_reference&)> resolver = {};
};

class settings {
public:
    // Never fails: what is wrong is in problems(), and then no value may be used. `declared` must
    // have unique names and valid defaults and must outlive this.
    [[nodiscard]] static settings load(std::span<const setting> declared,
                                       const setting_sources& from);

    // A line each, ready for people: "PORT (environment): '70000' is not a whole number from …".
    [[nodiscard]] const std::vector<std::string>& problems() const noexcept { return problems_; }
    // Names in the file that no setting has: perhaps misspelled, perhaps for another program.
    [[nodiscard]] const std::vector<std::string>& unknown() const noexcept { return unknown_; }

    // Values by name; the name must be declared, with this kind.
    [[nodiscard]] bool has(std::string_view name) const;
    [[nodiscard]] const std::string& text(std::string_view name) const;  // text and url; or empty
    [[nodiscard]] std::int64_t integer(std::string_view name) const;     // has(name), these four
    [[nodiscard]] bool boolean(std::string_view name) const;
    [[nodiscard]] std::int64_t bytes(std::string_view name) const;
    [[nodiscard]] milliseconds duration(std::string_view name) const;

    // Every setting with its value, where it is from and what it means, as lines with columns.
    [[nodiscard]] std::string table() const;

private:
    struct value {
        const setting* declared = nullptr;
        std::string text;
        std::int64_t number = 0;  // integer, boolean, bytes; milliseconds
        std::string source;       // "environment", "FILE, line 3", "default"; empty: not set
    };
    friend class settings_reader;

    [[nodiscard]] const value& at(std::string_view name, setting_kind kind) const;
    [[nodiscard]] static std::string shown(const value& entry);

    std::vector<value> values_;  // in the order of declaration
    std::map<std::string, std::size_t, std::less<>> index_;
    std::vector<std::string> problems_;
    std::vector<std::string> unknown_;
};

// All references that the settings hold, so that they can be fetched before load(). Problems are
// left to load().
[[nodiscard]] std::vector<secret_reference> find_references(std::span<const setting> declared,
                                                            const setting_sources& from);

// The number behind a text of this kind (boolean as 0 or 1, duration in milliseconds; 0 for text
// and url), or what is wrong with it: "is not …", to stand behind the value.
[[nodiscard]] result<std::int64_t> parse_setting(const setting& declared, std::string_view text);

}  // namespace hearth
