#include "bench/load/distribution.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "base/concat.h"

namespace hearth::bench {
namespace {

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blanks = " \t\r";
    const std::size_t first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

bool read_number(std::string_view text, double& into) {
    text = trimmed(text);
    const char* const end = text.data() + text.size();
    const auto done = std::from_chars(text.data(), end, into);
    return done.ec == std::errc() && done.ptr == end;
}

}  // namespace

result<distribution> distribution::parse(std::string_view text) {
    distribution made;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.empty()) {
            continue;
        }
        const std::size_t comma = std::min(line.find(','), line.size());
        point next;
        if (!read_number(line.substr(0, comma), next.value) ||
            !read_number(line.substr(std::min(comma + 1, line.size())), next.share)) {
            return fail(errc::invalid_argument,
                        concat("line ", number, ": give \"value,cumulative share\""));
        }
        const point last = made.points_.empty() ? point{} : made.points_.back();
        // Written so that NaN fails too.
        if (!(next.share >= last.share && next.share <= 1 && next.value >= last.value)) {
            return fail(errc::invalid_argument,
                        concat("line ", number, ": values and shares must rise, shares to 1"));
        }
        if (made.points_.size() == points_max) {
            return fail(errc::too_large, concat("over ", points_max, " lines"));
        }
        made.points_.push_back(next);
    }
    if (made.points_.empty() || made.points_.back().share <= 0) {
        return fail(errc::invalid_argument, "no line with a share above 0");
    }
    return made;
}

result<distribution> distribution::read(const std::string& path) {
    const std::ifstream file(path);
    if (!file) {
        return fail_errno(path);
    }
    std::ostringstream text;
    text << file.rdbuf();
    auto made = parse(text.str());
    if (!made) {
        made.error().message = concat(path, ": ", made.error().message);
    }
    return made;
}

double distribution::at_share(double share) const noexcept {
    const auto found =
        std::ranges::lower_bound(points_, share, {}, [](const point& each) { return each.share; });
    return found == points_.end() ? points_.back().value : found->value;
}

double distribution::draw(random_source& random) const {
    return at_share(std::uniform_real_distribution<double>(0, 1)(random));
}

result<traces> traces::read(const std::string& folder) {
    auto execution = distribution::read(folder + "/serverlessbench-execTimeCDF.csv");
    if (!execution) {
        return propagate(execution);
    }
    auto calls = distribution::read(folder + "/serverlessbench-invokesCDF.csv");
    if (!calls) {
        return propagate(calls);
    }
    return traces{.execution_ms = std::move(*execution), .calls_of_a_day = std::move(*calls)};
}

}  // namespace hearth::bench
