#include "ec2_host.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace hearth {
namespace {

// What comes after the grace needs time, too: jobs on their way back, the goodbye, the group.
constexpr milliseconds reserve{20'000};
constexpr seconds let_go_wait{10};

}  // namespace

ec2_host::ec2_host(fleet_services& services, const fleet_options& options,
                   std::function<void()> drain)
    : about_(services.web(), options.environment),
      api_(services.web(), &services.keys(), options.aws, aws::service::auto_scaling),
      group_(api_),
      life_(about_, group_, [this, drain = std::move(drain)](const aws::host_notice& notice) {
          end_at_ = notice.end_at ? notice.end_at : end_at_;
          drain();
      }) {}

deadline ec2_host::drain_until(seconds grace) const {
    const deadline whole = after(grace);
    if (!end_at_) {
        return whole;
    }
    const auto left = milliseconds(*end_at_ - wall_clock_ms()) - reserve;
    return std::min(whole, after(std::clamp(left, milliseconds(0), milliseconds(grace))));
}

task<void> ec2_host::let_go() {
    const auto gone = co_await life_.let_go(after(let_go_wait));
    if (!gone) {
        log::warning("the Auto Scaling group was not told that this host may end",
                     {{"reason", gone.error().message}});
    }
}

}  // namespace hearth
