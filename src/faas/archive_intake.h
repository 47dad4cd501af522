#pragma once

#include "base/clock.h"
#include "coro/task.h"
#include "faas/archive/archive.h"

namespace hearth::faas {

// Takes in archives without reading them in this process: faas/confined_intake.h. Ring thread only.
// errc::invalid_argument and errc::too_large carry a message for the uploader;
// errc::limit_exceeded: too many wait.
class archive_intake {
public:
    virtual ~archive_intake() = default;
    // As check_archive. The descriptors stay the caller's.
    virtual task<result<archive_summary>> check(int zip_file, deadline until) = 0;
    // As unpack_archive. When the task is done, whatever its end, nobody writes to `directory` any
    // more.
    virtual task<result<archive_summary>> unpack(int zip_file, int directory, deadline until) = 0;
};

}  // namespace hearth::faas
