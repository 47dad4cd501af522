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

// Ids as sandboxd's own user namespace counts them.
struct host_ids {
    unsigned first = host_id_base;
    bool one_for_all = false;
    bool is_rootless = false;  // sandboxd was started by an ordinary user

    [[nodiscard]] unsigned of(std::uint32_t slot) const {
        return one_for_all ? first : first + slot;
    }
};

// Root: nothing to do. Otherwise the calling process moves into a user namespace of its own, with
// every capability there, and into a copy of the mount namespace that belongs to it.
// errc::unavailable: this host does not let users do that, with the remedy; there is no lesser way.
// Call before anything else is prepared, with one thread.
[[nodiscard]] result<host_ids> take_host_ids(std::uint32_t slots);

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
