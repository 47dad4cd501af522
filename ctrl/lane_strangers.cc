#include "ctrl/lane_strangers.h"

#include <algorithm>
#include <utility>

namespace hearth::ctrl {

std::shared_ptr<lane_strangers::stranger> lane_strangers::enter(std::string origin) {
    make_room(origin);
    auto made = std::make_shared<stranger>();
    made->origin_ = std::move(origin);
    ++by_origin_[made->origin_];
    made->place_ = present_.insert(present_.end(), made);
    return made;
}

void lane_strangers::leave(stranger& which) {
    if (!std::exchange(which.present_, false)) {
        return;
    }
    const auto count = by_origin_.find(which.origin_);
    if (--count->second == 0) {
        by_origin_.erase(count);
    }
    present_.erase(which.place_);  // the last of its owners may be gone with this
}

void lane_strangers::make_room(const std::string& origin) {
    const auto own = by_origin_.find(origin);
    const bool has_its_share = own != by_origin_.end() && own->second >= places_of_one_origin;
    if (!has_its_share && present_.size() < places) {
        return;
    }
    std::size_t most = 0;
    for (const auto& [each, count] : by_origin_) {
        most = std::max(most, count);
    }
    const auto found = std::ranges::find_if(present_, [&](const auto& each) {
        return has_its_share ? each->origin_ == origin : by_origin_.at(each->origin_) == most;
    });
    const std::shared_ptr<stranger> chosen = std::move(*found);  // its place goes next
    leave(*chosen);
    chosen->dismissed_ = true;
    ++dismissed_;
    if (auto dismiss = std::exchange(chosen->dismiss, nullptr)) {
        dismiss();
    }
}

}  // namespace hearth::ctrl
