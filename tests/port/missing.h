#pragma once

#include <string>

namespace hearth::test {

// What a fixture of a conformance suite lacks on this machine, with the remedy; empty when it can
// do its work.
template <class Fixture>
[[nodiscard]] std::string missing_for(const Fixture& fixture) {
    if constexpr (requires { fixture.missing(); }) {
        return fixture.missing();
    } else {
        return {};
    }
}

}  // namespace hearth::test
