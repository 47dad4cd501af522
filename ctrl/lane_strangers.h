#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

namespace hearth::ctrl {

// Streams to the lane that have not said who they are yet.
//
// Problem: a stream costs whoever opens it nothing, and silent ones would take every place from
// workers. Solution: where there is one too many, a new one takes the place of the oldest of its
// own origin, or, when all places are taken, of the oldest of the origin that has most: who floods
// crowds out itself, and a worker says hello within one round trip. Pure. One thread.
class lane_strangers {
public:
    static constexpr std::size_t places = 256;
    static constexpr std::size_t places_of_one_origin = 64;

    class stranger {
    public:
        // How to end it, for as long as there is something to end; called once at most.
        std::function<void()> dismiss;
        [[nodiscard]] bool dismissed() const noexcept { return dismissed_; }
        [[nodiscard]] const std::string& origin() const noexcept { return origin_; }

    private:
        friend class lane_strangers;
        std::string origin_;
        bool dismissed_ = false;
        bool present_ = true;
        std::list<std::shared_ptr<stranger>>::iterator place_;
    };

    // `origin` is whose it is (net::stream::origin()). Another may be dismissed for it.
    [[nodiscard]] std::shared_ptr<stranger> enter(std::string origin);
    // It is known, or gone. Nothing when it was dismissed.
    void leave(stranger& which);

    [[nodiscard]] std::size_t size() const noexcept { return present_.size(); }
    [[nodiscard]] std::uint64_t dismissed() const noexcept { return dismissed_; }

private:
    void make_room(const std::string& origin);

    std::list<std::shared_ptr<stranger>> present_;  // oldest first
    std::unordered_map<std::string, std::size_t> by_origin_;
    std::uint64_t dismissed_ = 0;
};

}  // namespace hearth::ctrl
