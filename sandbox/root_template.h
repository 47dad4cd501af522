#pragma once

#include <string>

#include "base/result.h"

// The root directory that every sandbox gets, built once when sandboxd starts.
//
// Problem: making the same dozen mounts and files for every sandbox costs time, and every file made
// from inside could be made wrong from inside. Solution: sandboxd mounts them once in its own mount
// namespace, on a small tmpfs that is then read-only for good and owned by host root, who does not
// exist inside. A sandbox's mount namespace is born with a copy whose flags the kernel has locked.
//
//   /bin /sbin /lib* -> usr/…     as on the host
//   /usr                          the host's, read-only
//   /etc/alternatives /etc/ssl /etc/ld.so.cache     the host's, read-only, where present
//   /etc/{passwd,group,hosts,nsswitch.conf,host.conf}    generated
//   /dev/{null,zero,full,random,urandom}            the host's; fd, stdin, stdout, stderr are links
//   /runtime                      the runtime's bootstrap, read-only
//   /code /tmp /dev/shm /proc     mountpoints

namespace hearth::sandbox {

// Where the template is mounted in sandboxd's own mount namespace; nothing there is used besides.
inline constexpr const char* template_path = "/tmp";

// Call once, after mount_namespaces::separate().
[[nodiscard]] result<> build_root_template(const std::string& runtime_dir);

}  // namespace hearth::sandbox
