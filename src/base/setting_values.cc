#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/concat.h"
#include "base/settings.h"

namespace hearth {
namespace {

struct unit {
    std::string_view name;
    std::int64_t factor;
};

constexpr std::int64_t kibi = 1024;
constexpr std::array byte_units{
    unit{"", 1},
    unit{"B", 1},
    unit{"KB", kibi},
    unit{"KiB", kibi},
    unit{"MB", kibi* kibi},
    unit{"MiB", kibi* kibi},
    unit{"GB", kibi* kibi* kibi},
    unit{"GiB", kibi* kibi* kibi},
    unit{"TB", kibi* kibi* kibi* kibi},
    unit{"TiB", kibi* kibi* kibi* kibi},
};

constexpr std::int64_t second_ms = 1000;
constexpr std::array duration_units{
    unit{"ms", 1},
    unit{"s", second_ms},
    unit{"m", 60 * second_ms},
    unit{"h", 60 * 60 * second_ms},
    unit{"d", 24 * 60 * 60 * second_ms},
};

constexpr std::int64_t port_max = 65'535;

// A number in the largest unit that divides it, as a person would write it.
std::string written(std::int64_t number, std::span<const unit> units) {
    const unit* best = &units.front();
    for (const auto& candidate : units) {
        if (number != 0 && number % candidate.factor == 0 && candidate.factor > best->factor) {
            best = &candidate;
        }
    }
    return concat(number / best->factor, best->name);
}

template <class Written>
std::string range_of(const setting& declared, Written&& write) {
    if (declared.maximum == INT64_MAX) {
        return concat(" of at least ", write(declared.minimum));
    }
    return concat(" from ", write(declared.minimum), " to ", write(declared.maximum));
}

result<std::int64_t> in_range(const setting& declared, std::optional<std::int64_t> number,
                              const std::string& wanted) {
    if (!number || *number < declared.minimum || *number > declared.maximum) {
        return fail(errc::invalid_argument, concat("is not ", wanted));
    }
    return *number;
}

// All of `text` as a decimal number.
std::optional<std::int64_t> whole_number(std::string_view text) {
    std::int64_t number = 0;
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    const auto [stopped, code] = std::from_chars(begin, end, number);
    if (code != std::errc() || stopped != end) {
        return std::nullopt;
    }
    return number;
}

std::optional<std::int64_t> with_unit(std::string_view text, std::span<const unit> units) {
    const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto count = whole_number(text.substr(0, digits));
    const auto found = std::ranges::find(units, text.substr(digits), &unit::name);
    std::int64_t product = 0;
    if (!count || found == units.end() || __builtin_mul_overflow(*count, found->factor, &product)) {
        return std::nullopt;
    }
    return product;
}

result<std::int64_t> parse_boolean(std::string_view text) {
    std::string lower(text);
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    constexpr std::array<std::string_view, 4> yes{"1", "true", "yes", "on"};
    constexpr std::array<std::string_view, 4> no{"0", "false", "no", "off"};
    if (std::ranges::find(yes, lower) != yes.end()) {
        return 1;
    }
    if (std::ranges::find(no, lower) != no.end()) {
        return 0;
    }
    return fail(errc::invalid_argument, "is not true or false (1, yes, on; 0, no, off)");
}

bool is_one_of(std::string_view word, std::string_view list) {
    while (!list.empty()) {
        const auto end = std::min(list.find(','), list.size());
        if (list.substr(0, end) == word) {
            return true;
        }
        list.remove_prefix(std::min(end + 1, list.size()));
    }
    return false;
}

// "host", "host:port", "[v6]:port".
bool is_authority(std::string_view text) {
    if (const auto at = text.rfind('@'); at != std::string_view::npos) {
        text.remove_prefix(at + 1);
    }
    std::string_view host = text;
    std::optional<std::string_view> port;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == std::string_view::npos) {
            return false;
        }
        host = text.substr(1, end - 1);
        const auto rest = text.substr(end + 1);
        if (!rest.empty() && !rest.starts_with(':')) {
            return false;
        }
        if (!rest.empty()) {
            port = rest.substr(1);
        }
    } else if (const auto colon = text.find(':'); colon != std::string_view::npos) {
        host = text.substr(0, colon);
        port = text.substr(colon + 1);
    }
    if (host.empty()) {
        return false;
    }
    const auto number = port ? whole_number(*port) : std::optional<std::int64_t>(port_max);
    return number && *number >= 1 && *number <= port_max;
}

result<std::int64_t> parse_url(const setting& declared, std::string_view text) {
    const auto bad = [&] {
        return fail(errc::invalid_argument, concat("is not a URL SCHEME://HOST[:PORT][/PATH] with "
                                                   "one of these schemes: ",
                                                   declared.schemes));
    };
    const auto colon = text.find("://");
    if (colon == std::string_view::npos || !is_one_of(text.substr(0, colon), declared.schemes) ||
        text.contains(' ')) {
        return bad();
    }
    const auto rest = text.substr(colon + 3);
    if (!is_authority(rest.substr(0, rest.find_first_of("/?#")))) {
        return bad();
    }
    return 0;
}

result<std::int64_t> parse_kind(const setting& declared, std::string_view text) {
    switch (declared.kind) {
        case setting_kind::text:
            return 0;
        case setting_kind::url:
            return parse_url(declared, text);
        case setting_kind::boolean:
            return parse_boolean(text);
        case setting_kind::integer:
            return in_range(declared, whole_number(text),
                            "a whole number" + range_of(declared, [](std::int64_t number) {
                                return concat(number);
                            }));
        case setting_kind::bytes:
            return in_range(declared, with_unit(text, byte_units),
                            "a size" + range_of(declared, [](std::int64_t number) {
                                return written(number, byte_units);
                            }) + " (64KB, 10MB, 2GB)");
        case setting_kind::duration:
            return in_range(declared, with_unit(text, duration_units),
                            "a duration" + range_of(declared, [](std::int64_t number) {
                                return written(number, duration_units);
                            }) + " (250ms, 30s, 5m, 12h, 7d)");
    }
    std::unreachable();
}

}  // namespace

result<std::int64_t> parse_setting(const setting& declared, std::string_view text) {
    auto number = parse_kind(declared, text);
    if (number && declared.check != nullptr) {
        if (auto checked = declared.check(text); !checked) {
            return propagate(checked);
        }
    }
    return number;
}

result<std::optional<secret_reference>> parse_reference(std::string_view setting,
                                                        std::string_view value) {
    secret_reference found{.setting = std::string(setting)};
    constexpr std::string_view ssm = "ssm:";
    constexpr std::string_view secretsmanager = "secretsmanager:";
    if (value.starts_with(ssm)) {
        found.name = value.substr(ssm.size());
    } else if (value.starts_with(secretsmanager)) {
        found.service = secret_service::secretsmanager;
        const auto rest = value.substr(secretsmanager.size());
        const auto hash = std::min(rest.find('#'), rest.size());
        found.name = rest.substr(0, hash);
        if (hash < rest.size()) {
            found.member = rest.substr(hash + 1);
            if (found.member.empty()) {
                return fail(errc::invalid_argument,
                            "names no member behind '#'; write secretsmanager:NAME#MEMBER");
            }
        }
    } else {
        return std::nullopt;
    }
    if (found.name.empty()) {
        return fail(errc::invalid_argument, "names nothing; write ssm:NAME or secretsmanager:NAME");
    }
    return found;
}

}  // namespace hearth
