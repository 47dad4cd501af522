#pragma once

#include <string>

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hearth::faas {

// How a process ended; one of the two is 0.
struct intake_end {
    int code = 0;
    int signal = 0;
};

// One run of hearth-unpack: nothing of the server but one socket is in it, neither environment nor
// descriptors nor signal mask. Killed and reaped with this object at the latest. Any one thread at
// a time; start() blocks for about a millisecond.
class intake_process {
public:
    [[nodiscard]] static result<unique_fd> open_program(const std::string& path);
    // `program` from open_program. The thread that starts a process takes it with it when it ends.
    [[nodiscard]] static result<intake_process> start(int program);

    intake_process(intake_process&&) noexcept = default;
    intake_process& operator=(intake_process&& other) noexcept;
    intake_process(const intake_process&) = delete;
    intake_process& operator=(const intake_process&) = delete;
    ~intake_process();

    [[nodiscard]] int socket() const noexcept { return socket_.get(); }
    // Readable once it has ended.
    [[nodiscard]] int handle() const noexcept { return process_.get(); }
    void kill() noexcept;
    // Blocks until it has ended, which after kill() is at once. Once.
    [[nodiscard]] intake_end wait() noexcept;

private:
    intake_process(unique_fd socket, unique_fd process) noexcept
        : socket_(std::move(socket)), process_(std::move(process)) {}

    unique_fd socket_;
    unique_fd process_;  // pidfd; empty once it is reaped
};

}  // namespace hearth::faas
