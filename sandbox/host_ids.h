#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/result.h"

// Who sandboxes are to the host, and how sandboxd comes to the privileges that making them takes.
//
// Root has them, and gives each slot a uid of its own. An ordinary user gets them in a user
// namespace, over what that namespace owns and nothing else; its uids are the user's own (0 inside)
// and, where /etc/subuid and /etc/subgid grant the user ranges, one for each slot. Without ranges
// all sandboxes are the user's own uid.

namespace hearth::sandbox {

inline constexpr unsigned host_id_base = 200'000;  // of root: slot n is uid and gid 200000 + n

enum class id_source : std::uint8_t {
    host,    // root's: one for each slot
    ranges,  // one for each slot, of those that the user was granted
    own,     // the user's, for all sandboxes
};

// Ids as sandboxd's own user namespace counts them.
struct host_ids {
    id_source source = id_source::host;

    [[nodiscard]] bool is_rootless() const { return source != id_source::host; }
    [[nodiscard]] bool one_for_all() const { return source == id_source::own; }
    [[nodiscard]] unsigned of(std::uint32_t slot) const;
    // Fails for a source that is not this process's: root's own id must never be a sandbox's.
    [[nodiscard]] result<> check() const;
};

// For an ordinary user: moves the calling process into a user namespace of its own, with every
// capability there, and into a copy of the mount namespace that belongs to it. The process must
// then execute hearth-sandboxd anew: to the kernel, memory belongs to the user namespace in which
// its program was executed, and sandboxes' inits, which only the privileged over their memory may
// look at, are copies of sandboxd's.
// errc::unavailable: this host does not let users do that, with the remedy; there is no lesser way.
// Call before anything else is prepared, with one thread.
[[nodiscard]] result<id_source> enter_user_namespace(std::uint32_t slots);

struct id_range {
    unsigned first = 0;
    unsigned count = 0;
    bool operator==(const id_range&) const = default;
};

// The first line of a /etc/subuid (subuid(5): "user:first:count") that grants the user, by name or
// by number, at least `count` ids.
[[nodiscard]] std::optional<id_range> find_id_range(std::string_view text, std::string_view user,
                                                    uid_t uid, unsigned count);

// The switches by which hosts keep users from making namespaces; empty where there is no such one.
struct namespace_switches {
    std::string unprivileged_clone;   // kernel.unprivileged_userns_clone, of Debian's kernels
    std::string namespaces_max;       // user.max_user_namespaces
    std::string apparmor_restricted;  // kernel.apparmor_restrict_unprivileged_userns
};

// Why a step towards a user namespace failed with `os_error`, and what to do.
[[nodiscard]] std::string explain_refusal(std::string_view step, int os_error,
                                          const namespace_switches& host);

}  // namespace hearth::sandbox
