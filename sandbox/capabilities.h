#pragma once

namespace hearth::sandbox {

// Gives up every capability in every set, for good: bounding and ambient sets empty, securebits
// locked so that user 0 of some namespace would gain nothing, no_new_privs so that no file would.
// Runs in the child; false with errno set on failure.
[[nodiscard]] bool drop_capabilities() noexcept;

}  // namespace hearth::sandbox
