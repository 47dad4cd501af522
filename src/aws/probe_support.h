#pragma once

#include <string>
#include <string_view>

#include "aws/probes.h"

// What the probes of each service share.

namespace hearth::aws {

// A line about a right that was tried. `outcome` is of a request that is refused for what it asks
// where the right is granted: a refusal of that kind is what is hoped for.
[[nodiscard]] probe right_probe(std::string_view service, std::string target,
                                std::string_view right, const result<>& outcome);

// A line about a right that no harmless request tries.
[[nodiscard]] probe untried_probe(std::string_view service, std::string target,
                                  std::string_view right);

// `problem` with what to do about it.
[[nodiscard]] error with_remedy(error problem, std::string_view right, std::string_view target);

// The answer's body.
task<result<std::string>> ask(client& api, std::string operation, std::string body, deadline until);

template <class T>
[[nodiscard]] result<> without_value(const result<T>& from) {
    return from ? result<>{} : result<>(std::unexpected(from.error()));
}

}  // namespace hearth::aws
