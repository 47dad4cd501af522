#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include "faas/archive/intake_protocol.h"

// In hearth-unpack's place: behaves as its own file name says. What it remembers lies beside it.
// The task that the server tries it with is refused as a sound reader would, unless the name begins
// with "start-".

namespace {

using namespace hearth;

void tell(const result<faas::archive_summary>& end) {
    const auto packet = faas::encode_report(end);
    if (::write(faas::intake_socket, packet.data(), packet.size()) < 0) {
        std::abort();
    }
}

[[noreturn]] void hang() {
    for (;;) {
        ::pause();
    }
}

void behave(const std::string& how, const std::filesystem::path& folder) {
    if (how.ends_with("noise")) {
        std::array<char, faas::report_bytes> noise;
        if (::getrandom(noise.data(), noise.size(), 0) < 0 ||
            ::write(faas::intake_socket, noise.data(), noise.size()) < 0) {
            std::abort();
        }
        hang();
    } else if (how.ends_with("closes")) {
        ::close(faas::intake_socket);
        hang();
    } else if (how == "crashes") {
        ::raise(SIGSEGV);
    } else if (how == "used-up") {
        ::raise(SIGXCPU);
    } else if (how == "goes-on") {
        tell(faas::archive_summary{.entries = 1});
        for (volatile bool always = true; always;) {
        }
    } else if (how == "silent") {
        hang();
    } else if (how == "silent-once") {
        if (std::filesystem::create_directory(folder / "first")) {
            hang();
        }
        tell(faas::archive_summary{.entries = 1});
    }
}

}  // namespace

int main() {
    const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
    const std::string how = self.filename();
    const auto task = faas::receive_task(faas::intake_socket);
    if (!task || !task->has_value()) {
        return 0;
    }
    if (!how.starts_with("start-") &&
        std::filesystem::create_directory(self.parent_path() / "started")) {
        tell(fail(errc::invalid_argument, "zip: contains no file"));
        return 0;
    }
    behave(how, self.parent_path());
    return 0;
}
