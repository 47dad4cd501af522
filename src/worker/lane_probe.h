#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "coro/task.h"
#include "coro/thread_pool.h"
#include "net/tls.h"
#include "worker/lane_endpoint.h"

namespace hearth::worker {

// Whether a worker would get a lane there: connects, says hello, and goodbye once it is welcome. It
// takes no calls meanwhile. Errors: errc::permission_denied for the token, errc::protocol or
// closed for what is no lane or another version of it, errc::limit_exceeded for a controller that
// takes no more; otherwise as of connecting. `lookups` outlives it. Ring thread only.
task<result<>> try_lane(thread_pool& lookups, lane_endpoint where,
                        std::shared_ptr<const net::tls_context> tls, std::string token,
                        deadline until);

}  // namespace hearth::worker
