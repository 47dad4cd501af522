#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "sandbox/function_zygotes.h"
#include "sandbox/options.h"
#include "sandbox/zygote_keeper.h"

namespace hearth::sandbox {

// Where Pythons are forked from, in the mode that was chosen: one zygote for each family
// (zygote_keeper), one for each function (function_zygotes), or none. Never blocks.
class zygote_supply {
public:
    // `program` is hearth-zygote (O_PATH); without it there never is a zygote.
    [[nodiscard]] static result<zygote_supply> make(const daemon_options& options,
                                                    const unique_fd& program,
                                                    std::span<const char* const> environment);

    // Any of them readable: dispatch() has something to do.
    [[nodiscard]] std::vector<int> descriptors() const;
    void dispatch();

    // The zygote that will fork for a sandbox of this function; 0: none, execute Python. Each that
    // is taken is given back by note_end() when the sandbox has ended or was not made.
    [[nodiscard]] std::uint64_t take(zygote_family family, const function_key& function);
    // One that this function shares with no other would serve it now.
    [[nodiscard]] bool has_own(zygote_family family, const function_key& function) const;
    // A standard function that was never called could have a fork now.
    [[nodiscard]] bool ready() const;
    // Some standard function could.
    [[nodiscard]] bool serves() const;
    // None serves yet, but will in a moment.
    [[nodiscard]] bool starting() const;
    // Whether a sandbox that is no function's yet may be forked: only where all share.
    [[nodiscard]] bool parks() const { return functions_ == nullptr; }
    [[nodiscard]] std::uint32_t count() const;

    // The descriptors stay the caller's. What becomes of it is told on the sandbox's status pipe.
    [[nodiscard]] result<> fork(std::uint64_t zygote, const fork_request& request,
                                std::span<const int> descriptors);
    // How it ended; a zygote whose forks keep failing is replaced.
    void note_fork(std::uint64_t zygote, bool succeeded);
    void note_end(std::uint64_t zygote);

    // Ends every zygote and waits for it.
    void shut_down();

private:
    zygote_supply() = default;

    [[nodiscard]] const zygote_keeper& standard() const { return *shared_.front(); }

    std::vector<std::unique_ptr<zygote_keeper>> shared_;  // by family
    std::unique_ptr<function_zygotes> functions_;         // instead of them
};

}  // namespace hearth::sandbox
