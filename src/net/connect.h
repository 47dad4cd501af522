#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "coro/task.h"
#include "coro/thread_pool.h"
#include "net/stream.h"

namespace hearth::net {

// Before the next address is tried beside one that has not answered yet. RFC 8305, section 5:
// "Connection Attempt Delay", 250 ms recommended.
inline constexpr milliseconds connect_head_start{250};
// Of one name; what exceeds it is not tried.
inline constexpr std::size_t connect_addresses_max = 16;

// Connects to whichever of `addresses` (as connect_stream() takes them) answers first.
//
// Problem: an address that swallows packets, as IPv6 behind a broken router does, says nothing
// until the deadline, and the good one behind it in the list is never tried. Solution (RFC 8305):
// addresses of the two families take turns, each has a head start over the next, one that fails
// lets the next begin at once, and the first to connect ends the other attempts. All have ended
// when this returns. The error says what became of each; its code is that of the last.
task<result<std::unique_ptr<stream>>> connect_first(std::vector<std::string> addresses,
                                                    deadline until);

// The same with the addresses of `host`: a name, a numeric address or a path (resolve()). The
// look-up is awaited however long it takes: `until` binds the connecting alone, and a look-up that
// outlasts it leaves nothing. `lookups` outlives the call.
task<result<std::unique_ptr<stream>>> connect_host(thread_pool& lookups, std::string host,
                                                   std::uint16_t port, deadline until);

}  // namespace hearth::net
