#include "worker/sandbox_state.h"

#include "base/check.h"

namespace hearth::worker {

std::string_view to_string(sandbox_state state) noexcept {
    switch (state) {
        case sandbox_state::starting:
            return "starting";
        case sandbox_state::idle:
            return "idle";
        case sandbox_state::frozen:
            return "frozen";
        case sandbox_state::running:
            return "running";
        case sandbox_state::settling:
            return "settling";
        case sandbox_state::ending:
            return "ending";
        case sandbox_state::gone:
            return "gone";
    }
    return "?";
}

void sandbox_life::become(sandbox_state next) noexcept {
    HEARTH_CHECK(may_become(state_, next), "a sandbox's states are not in order");
    state_ = next;
}

}  // namespace hearth::worker
