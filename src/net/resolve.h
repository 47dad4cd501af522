#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "coro/task.h"
#include "coro/thread_pool.h"

namespace hearth::net {

// The addresses of `host`, as connect_stream() takes them ("203.0.113.7:6379"), in the order in
// which the system wants them tried; at least one. A numeric host or a path with a leading '/'
// (which gets no port) is answered without the pool. getaddrinfo() blocks for as long as the
// system's resolver likes, so it runs there, and is always awaited. errc::unavailable names the
// host.
task<result<std::vector<std::string>>> resolve(thread_pool& lookups, std::string host,
                                               std::uint16_t port);

}  // namespace hearth::net
