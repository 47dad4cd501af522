#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "aws/providers.h"
#include "coro/wait_list.h"

namespace hearth::aws {

struct credential_chain_options {
    // Before they expire, credentials are renewed at a random moment between these, so that a fleet
    // that started together does not renew together; earlier than a quarter of their life never.
    milliseconds ahead_min{5 * 60'000};
    milliseconds ahead_max{10 * 60'000};
    // Between attempts to renew while the old ones still work, ± half.
    milliseconds retry_pause{30'000};
    std::function<epoch_ms()> now = wall_clock_ms;
};

// The places that credentials may come from, asked in order until one has some; that one is asked
// again from then on. Kept, renewed ahead, fetched once however many wait. A renewal that fails
// leaves the old ones in use until they expire, and where the place promises it (EC2's metadata)
// beyond: an outage there does not stop a fleet. Ring thread only.
class credential_chain final : public credentials_source {
public:
    struct statistics {
        std::uint64_t fetched = 0;
        std::uint64_t failed = 0;
        std::uint64_t extended = 0;  // times that expired ones were used further
    };

    explicit credential_chain(std::vector<std::unique_ptr<credential_provider>> places,
                              credential_chain_options options = {});

    // Environment, profile, web identity, container, EC2 metadata; the last only where the process
    // is not in a container that brings its own.
    [[nodiscard]] static std::unique_ptr<credential_chain> standard(
        const provider_parts& parts, credential_chain_options options = {});

    task<result<credentials>> get(deadline until) override;
    void refused(const credentials& which) override;

    [[nodiscard]] const statistics& counts() const noexcept { return counts_; }
    // The place that the credentials in use came from; empty before the first.
    [[nodiscard]] std::string_view source() const noexcept;

private:
    [[nodiscard]] bool usable() const;
    task<result<>> renew(deadline until);
    task<result<issued_credentials>> search(deadline until);
    void keep(issued_credentials fresh);
    void postpone(milliseconds pause);
    [[nodiscard]] bool extend();

    std::vector<std::unique_ptr<credential_provider>> places_;
    credential_chain_options options_;
    credential_provider* found_ = nullptr;
    std::optional<issued_credentials> held_;
    epoch_ms renew_at_ = 0;
    bool renewing_ = false;
    bool refused_ = false;  // a service takes those held no longer
    wait_list renewed_;
    statistics counts_;
};

}  // namespace hearth::aws
