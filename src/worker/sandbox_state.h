#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace hearth::worker {

// A sandbox as the worker sees it. The table in docs/sandbox.md says the same; a test compares.
enum class sandbox_state : std::uint8_t {
    starting,  // asked for; its handler is being imported
    idle,      // waits for a call, its processes may run
    frozen,    // waits for a call, its processes may not run
    running,   // has a call
    settling,  // its call was answered; what runs in it beside Python is looked at
    ending,    // being killed: no call any more
    gone,      // nothing of it is left
};

struct sandbox_transition {
    sandbox_state from;
    sandbox_state to;
    std::string_view when;
};

inline constexpr std::array sandbox_transitions{
    sandbox_transition{sandbox_state::starting, sandbox_state::idle, "its handler is imported"},
    sandbox_transition{sandbox_state::starting, sandbox_state::ending, "its start failed"},
    sandbox_transition{sandbox_state::idle, sandbox_state::running, "it gets a call"},
    sandbox_transition{sandbox_state::idle, sandbox_state::frozen, "it was idle for the grace"},
    sandbox_transition{sandbox_state::idle, sandbox_state::ending, "it is not wanted any more"},
    sandbox_transition{sandbox_state::frozen, sandbox_state::running, "it gets a call, thawed"},
    sandbox_transition{sandbox_state::frozen, sandbox_state::ending, "it is not wanted any more"},
    sandbox_transition{sandbox_state::running, sandbox_state::idle, "its call has ended"},
    sandbox_transition{sandbox_state::running, sandbox_state::settling,
                       "its call has ended, and more runs in it than before"},
    sandbox_transition{sandbox_state::running, sandbox_state::ending,
                       "its call ended it, or it is not wanted any more"},
    sandbox_transition{sandbox_state::settling, sandbox_state::idle, "what was too much is gone"},
    sandbox_transition{sandbox_state::settling, sandbox_state::ending,
                       "it is not, or it is not wanted any more"},
    sandbox_transition{sandbox_state::ending, sandbox_state::gone,
                       "hearth-sandboxd removed the last of it"},
};

[[nodiscard]] constexpr bool may_become(sandbox_state from, sandbox_state to) noexcept {
    for (const sandbox_transition& each : sandbox_transitions) {
        if (each.from == from && each.to == to) {
            return true;
        }
    }
    return false;
}

[[nodiscard]] std::string_view to_string(sandbox_state state) noexcept;

// Holds one sandbox's state. A transition that is not in the table is a fault of the worker, which
// stops: a sandbox in two places at once could serve two calls.
class sandbox_life {
public:
    [[nodiscard]] sandbox_state state() const noexcept { return state_; }
    [[nodiscard]] bool is(sandbox_state wanted) const noexcept { return state_ == wanted; }
    void become(sandbox_state next) noexcept;

private:
    sandbox_state state_ = sandbox_state::starting;
};

}  // namespace hearth::worker
