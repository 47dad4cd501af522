#include "http/media_type.h"

#include <algorithm>

#include "http/characters.h"

namespace hearth::http {
namespace {

// A quoted string at the front of `rest`. A backslash escapes a quote or itself only: some browsers
// send Windows paths unescaped.
bool take_quoted(std::string_view& rest, std::string& value) {
    for (std::size_t i = 1; i < rest.size(); ++i) {
        if (rest[i] == '"') {
            rest.remove_prefix(i + 1);
            return true;
        }
        if (rest[i] == '\\' && i + 1 < rest.size() && (rest[i + 1] == '"' || rest[i + 1] == '\\')) {
            ++i;
        }
        value += rest[i];
    }
    return false;
}

}  // namespace

bool has_media_type(std::string_view content_type, std::string_view wanted) noexcept {
    return equal_ignoring_case(trim(content_type.substr(0, content_type.find(';'))), wanted);
}

bool take_parameter(std::string_view& rest, std::string_view& name, std::string& value,
                    bool& malformed) {
    value.clear();
    malformed = false;
    rest = trim(rest);
    while (!rest.empty() && rest.front() == ';') {  // RFC 9110 §5.6.6: parameters may be empty
        rest = trim(rest.substr(1));
    }
    if (rest.empty()) {
        return false;
    }
    malformed = true;
    const std::size_t equals = rest.find('=');
    if (equals == std::string_view::npos || !is_token(rest.substr(0, equals))) {
        return false;
    }
    name = rest.substr(0, equals);
    rest.remove_prefix(equals + 1);
    if (!rest.empty() && rest.front() == '"') {
        if (!take_quoted(rest, value)) {
            return false;
        }
    } else {
        const std::string_view token = trim(rest.substr(0, rest.find(';')));
        if (!is_token(token)) {
            return false;
        }
        value = token;
        rest.remove_prefix(std::min(rest.find(';'), rest.size()));
    }
    rest = trim(rest);
    malformed = !rest.empty() && rest.front() != ';';
    return !malformed;
}

}  // namespace hearth::http
