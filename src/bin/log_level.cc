#include "log_level.h"

#include <algorithm>
#include <array>
#include <utility>

namespace hearth {
namespace {

constexpr std::array levels{
    std::pair{std::string_view("debug"), log::level::debug},
    std::pair{std::string_view("info"), log::level::info},
    std::pair{std::string_view("warning"), log::level::warning},
    std::pair{std::string_view("error"), log::level::error},
};

}  // namespace

std::vector<std::string> log_level_names() {
    std::vector<std::string> names;
    names.reserve(levels.size());
    for (const auto& [name, level] : levels) {
        names.emplace_back(name);
    }
    return names;
}

log::level level_named(std::string_view name) {
    return std::ranges::find(levels, name, &std::pair<std::string_view, log::level>::first)->second;
}

}  // namespace hearth
