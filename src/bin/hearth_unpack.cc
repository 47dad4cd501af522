#include <new>

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "faas/archive/archive.h"
#include "faas/archive/intake_protocol.h"
#include "faas/function.h"
#include "sandbox/intake_confinement.h"
#include "sandbox/kernel.h"
#include "sandbox/seccomp_policy.h"

namespace {

using namespace hearth;

static_assert(faas::intake_socket == static_cast<int>(sandbox::intake_report_descriptor));

result<faas::archive_summary> work_on(faas::intake_work work) {
    constexpr int archive = sandbox::intake_archive_descriptor;
    constexpr int directory = sandbox::intake_directory_descriptor;
    try {
        return work == faas::intake_work::check ? faas::check_archive(archive)
                                                : faas::unpack_archive(archive, directory);
    } catch (const std::bad_alloc&) {
        return fail(errc::too_large,
                    "zip: its directory takes too much memory to read. Pack fewer files");
    }
}

// One report is the last that this process does: no destructor, no handler.
[[noreturn]] void report(const result<faas::archive_summary>& end) {
    const faas::report_packet packet = faas::encode_report(end);
    const bool sent =
        ::write(faas::intake_socket, packet.data(), packet.size()) == faas::report_bytes;
    ::_exit(sent ? 0 : 1);
}

}  // namespace

int main() {
    if (::fcntl(faas::intake_socket, F_SETFD, FD_CLOEXEC) != 0) {
        log::error("hearth-unpack is started by hearth, never by hand");
        return 2;
    }
    if (sandbox::kernel::close_range(faas::intake_socket + 1, ~0U, 0) != 0) {
        return 1;
    }
    auto confinement = sandbox::intake_confinement::prepare(faas::unpacked_bytes_max);
    auto task = faas::receive_task(faas::intake_socket);
    if (!task || !task->has_value()) {
        return task ? 0 : 1;
    }
    if (!confinement) {
        report(propagate(confinement));
    }
    const auto& wanted = **task;
    if (auto sealed = confinement->seal(faas::intake_socket, wanted.archive.get(),
                                        wanted.directory ? wanted.directory.get() : -1);
        !sealed) {
        report(propagate(sealed));
    }
    report(work_on(wanted.work));
}
