#include "groundwork.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/concat.h"
#include "faas/confined_intake.h"
#include "http/options.h"
#include "installation.h"
#include "privileges.h"
#include "worker/code_cache.h"

namespace hearth {
namespace {

constexpr seconds start_wait{20};  // for hearth-sandboxd
// Those that come with each sandbox, one for each unpacked function, and what the process has
// anyway.
constexpr std::size_t open_files_per_sandbox = sandbox::created_descriptors_max;
constexpr std::size_t open_files_besides = worker::code_cache::entries_max + 256;

result<unique_fd> lock_data_folder(const std::string& folder) {
    unique_fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) {
        return fail_errno(concat("cannot open ", folder));
    }
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        return fail(errc::conflict, concat("another Hearth uses the data folder ", folder,
                                           ". Stop it, or choose another --data-dir"));
    }
    return fd;
}

// The same folder has the same name after a restart, so that what a killed process left is found.
std::string instance_name(std::string_view program, int data_folder) {
    struct stat status{};
    ::fstat(data_folder, &status);
    return concat(program, "-", status.st_dev, "-", status.st_ino);
}

// Made where missing, and canonical.
result<std::string> prepare_folders(const groundwork_plan& plan, const service_user& user) {
    if (auto ready = prepare_folder(plan.data_dir, user); !ready) {
        return propagate(ready);
    }
    for (const auto& each : plan.folders) {
        if (auto ready = prepare_folder(concat(plan.data_dir, "/", each), user); !ready) {
            return propagate(ready);
        }
    }
    return std::filesystem::canonical(plan.data_dir).string();
}

result<sandbox::client> launch_sandboxd(const installation& installed, const std::string& instance,
                                        const sandbox_options& options) {
    return sandbox::client::launch(
        {.program = installed.sandboxd,
         .instance = instance,
         .runtime_dir = installed.python_runtime,
         .slots = options.slots,
         .parked = *options.parked,
         .shells = options.shells,
         .zygote = options.zygote,
         .zygote_forks = options.zygote_forks,
         .zygote_minutes = options.zygote_minutes,
         .zygote_spares = options.zygote_spares,
         .zygote_functions = options.zygote_functions,
         .zygote_idle_seconds = static_cast<std::uint32_t>(options.zygote_idle.count()),
         .zygote_modules = options.zygote_modules,
         .numpy_modules = options.numpy_modules,
         .allow_no_limits = options.allow_no_limits},
        after(start_wait));
}

}  // namespace

std::string default_data_dir(std::string_view program) {
    if (::geteuid() == 0) {
        return concat("/var/lib/", program);
    }
    const char* home = ::getenv("HOME");
    return concat(home == nullptr ? "." : home, "/.local/share/", program);
}

result<uring::signal_watch> hear_signals() {
    return uring::signal_watch::create({SIGTERM, SIGINT, SIGUSR1});
}

result<groundwork> lay_groundwork(const groundwork_plan& plan) {
    auto installed = find_installation();
    if (!installed) {
        return propagate(installed);
    }
    // Sandboxes read the unpacked code under ids of their own; what is private is in a 0700 folder.
    ::umask(S_IWGRP | S_IWOTH);
    provide_open_files(http::server_options{}.connections_max * plan.door.threads +
                       open_files_per_sandbox * plan.sandboxes.slots + open_files_besides);
    const service_user user = find_service_user();
    auto data_dir = prepare_folders(plan, user);
    if (!data_dir) {
        return propagate(data_dir);
    }
    auto lock = lock_data_folder(*data_dir);
    if (!lock) {
        return propagate(lock);
    }
    // Now, since the service's user may not reach the program's folder.
    auto unpacker = faas::confined_intake::open_program(installed->unpacker);
    if (!unpacker) {
        return propagate(unpacker);
    }
    auto door = open_entrance(plan.door);
    if (!door) {
        return propagate(door);
    }
    auto sandboxes =
        launch_sandboxd(*installed, instance_name(plan.name, lock->get()), plan.sandboxes);
    if (!sandboxes) {
        return propagate(sandboxes);
    }
    auto signals = hear_signals();
    if (!signals) {
        return propagate(signals);
    }
    groundwork ground{.data_dir = std::move(*data_dir),
                      .data_lock = std::move(*lock),
                      .unpacker = std::move(*unpacker),
                      .door = std::move(*door),
                      .sandboxes = std::move(*sandboxes),
                      .signals = std::move(*signals)};
    if (auto dropped = drop_privileges(user); !dropped) {
        return propagate(dropped);
    }
    return ground;
}

}  // namespace hearth
