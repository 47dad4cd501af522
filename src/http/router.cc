#include "http/router.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace hearth::http {
namespace {

bool is_parameter(std::string_view segment) {
    return segment.starts_with(':');
}

std::vector<std::string> split(std::string_view pattern) {
    std::vector<std::string> segments;
    while (!pattern.empty()) {
        pattern.remove_prefix(1);
        const std::string_view segment = pattern.substr(0, pattern.find('/'));
        segments.emplace_back(segment);
        pattern.remove_prefix(segment.size());
    }
    return segments;
}

// Literal before parameter at the first segment where two patterns differ in kind.
bool is_more_literal(const std::vector<std::string>& a, const std::vector<std::string>& b) {
    return std::ranges::lexicographical_compare(
        a, b, [](const auto& x, const auto& y) { return is_parameter(x) < is_parameter(y); });
}

}  // namespace

router::route& router::route_for(std::string_view pattern) {
    const auto same =
        std::ranges::find_if(routes_, [&](const route& each) { return each.pattern == pattern; });
    if (same != routes_.end()) {
        return *same;
    }
    route made;
    made.pattern = pattern;
    made.segments = split(pattern);
    HEARTH_CHECK(static_cast<std::size_t>(std::ranges::count_if(made.segments, is_parameter)) <=
                     path_parameters::count_max,
                 "a route has too many parameters");
    const auto place = std::ranges::find_if(
        routes_, [&](const route& each) { return is_more_literal(made.segments, each.segments); });
    return *routes_.insert(place, std::move(made));
}

void router::add(method of, std::string_view pattern, handler handle) {
    HEARTH_CHECK(pattern.starts_with('/'), "a route's pattern begins with a slash");
    HEARTH_CHECK(of != method::head && of != method::options, "HEAD and OPTIONS are derived");
    route& target = route_for(pattern);
    HEARTH_CHECK(!target.handlers[static_cast<std::size_t>(of)], "the route exists already");
    target.handlers[static_cast<std::size_t>(of)] = std::move(handle);
    target.allow.clear();
    for (std::size_t i = 0; i < method_names.size(); ++i) {
        const bool derived = static_cast<method>(i) == method::head &&
                             target.handlers[static_cast<std::size_t>(method::get)] != nullptr;
        if (target.handlers[i] || derived) {
            target.allow += method_names[i];
            target.allow += ", ";
        }
    }
    target.allow += "OPTIONS";
}

bool router::fits(const route& candidate, std::string_view path, path_parameters& parameters) {
    parameters.count = 0;
    for (const std::string& wanted : candidate.segments) {
        if (path.empty()) {
            return false;
        }
        path.remove_prefix(1);
        const std::string_view segment = path.substr(0, path.find('/'));
        path.remove_prefix(segment.size());
        if (is_parameter(wanted)) {
            if (segment.empty()) {
                return false;
            }
            parameters.entries[parameters.count++] = {std::string_view(wanted).substr(1), segment};
        } else if (segment != wanted) {
            return false;
        }
    }
    return path.empty();
}

router::match router::find(method of, std::string_view path) const& {
    match found;
    if (path == "*") {
        found.what = outcome::options;
        found.route = path;
        found.allow = allow_anywhere_;
        return found;
    }
    for (const route& candidate : routes_) {
        if (!fits(candidate, path, found.parameters)) {
            continue;
        }
        const method wanted = of == method::head ? method::get : of;
        const handler& handle = candidate.handlers[static_cast<std::size_t>(wanted)];
        found.route = candidate.pattern;
        found.allow = candidate.allow;
        found.what = handle                  ? outcome::found
                     : of == method::options ? outcome::options
                                             : outcome::method_not_allowed;
        found.handle = handle ? &handle : nullptr;
        return found;
    }
    return found;
}

}  // namespace hearth::http
