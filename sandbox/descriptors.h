#pragma once

namespace hearth::sandbox {

// The descriptor table of a sandbox: 0 /dev/null, 1 and 2 the output pipe, 3 the control stream.
// Init keeps one more, and contain() another until its end; both are close-on-exec. The init of a
// shell has the adoption pipe as 3.
inline constexpr int control_descriptor = 3;
inline constexpr int status_descriptor = 4;
inline constexpr int parent_descriptor = 5;

// Moves descriptors to their numbers and closes everything else; `status` becomes
// status_descriptor. Without a `parent` that number stays free. Runs where the root is the
// sandbox's (0 is its own /dev/null); false with errno set on failure.
[[nodiscard]] bool arrange_descriptors(int control_stream, int output, int& status,
                                       int parent = -1) noexcept;

}  // namespace hearth::sandbox
