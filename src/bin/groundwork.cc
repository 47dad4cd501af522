#include "groundwork.h"

#include <csignal>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/concat.h"
#include "faas/confined_intake.h"
#include "http/options.h"
#include "installation.h"
#include "listeners.h"
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
std::string instance_name(int data_folder) {
    struct stat status{};
    ::fstat(data_folder, &status);
    return concat("dev-", status.st_dev, "-", status.st_ino);
}

result<unique_fd> open_port_file(const std::string& path) {
    if (path.empty()) {
        return unique_fd();
    }
    unique_fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd) {
        return fail_errno(concat("cannot write --port-file ", path));
    }
    return fd;
}

}  // namespace

result<groundwork> lay_groundwork(dev_options& options) {
    auto installed = find_installation();
    if (!installed) {
        return propagate(installed);
    }
    // Sandboxes read the unpacked code under ids of their own; what is private is in a 0700 folder.
    ::umask(S_IWGRP | S_IWOTH);
    provide_open_files(http::server_options{}.connections_max * options.threads +
                           open_files_per_sandbox * options.slots + open_files_besides);
    const service_user user = find_service_user();
    for (const char* folder : {"", "/code", "/unpacked"}) {
        if (auto ready = prepare_folder(options.data_dir + folder, user); !ready) {
            return propagate(ready);
        }
    }
    options.data_dir = std::filesystem::canonical(options.data_dir);
    auto lock = lock_data_folder(options.data_dir);
    if (!lock) {
        return propagate(lock);
    }
    std::shared_ptr<const net::tls_context> tls;
    if (!options.tls_certificate.empty()) {
        auto made = net::tls_context::for_server(options.tls_certificate, options.tls_key);
        if (!made) {
            return propagate(made);
        }
        tls = std::move(*made);
    }
    // Now, since the service's user may not reach the program's folder.
    auto unpacker = faas::confined_intake::open_program(installed->unpacker);
    if (!unpacker) {
        return propagate(unpacker);
    }
    auto port_file = open_port_file(options.port_file);
    if (!port_file) {
        return propagate(port_file);
    }
    auto sandboxes = sandbox::client::launch(
        {.program = installed->sandboxd,
         .instance = instance_name(lock->get()),
         .runtime_dir = installed->python_runtime,
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
    if (!sandboxes) {
        return propagate(sandboxes);
    }
    auto signals = uring::signal_watch::create({SIGTERM, SIGINT, SIGUSR1});
    if (!signals) {
        return propagate(signals);
    }
    auto listening = open_listeners(options);
    if (!listening) {
        return propagate(listening);
    }
    groundwork ground{.data_lock = std::move(*lock),
                      .port_file = std::move(*port_file),
                      .unpacker = std::move(*unpacker),
                      .listening = std::move(listening->sockets),
                      .port = listening->port,
                      .tls = std::move(tls),
                      .sandboxes = std::move(*sandboxes),
                      .signals = std::move(*signals)};
    if (auto dropped = drop_privileges(user); !dropped) {
        return propagate(dropped);
    }
    return ground;
}

}  // namespace hearth
