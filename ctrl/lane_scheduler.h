#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "coro/intrusive_list.h"
#include "faas/function.h"

namespace hearth::ctrl {

struct lane_scheduler_options {
    std::size_t function_queue_max = 100;  // calls of one function that wait for a credit
    std::size_t queue_max = 1'000;         // of all functions
};

// Which call goes next, and to which worker. Pure but for the time that it is given; one thread.
//
// Problem: calls of many functions compete for the credits of many lanes, and one function called
// without end must not make the others wait. Solution: functions with waiting calls take turns, one
// call each; and while another function is in use, none takes a credit when it has seven times as
// many as are free: alone it leaves an eighth of all, two that flood leave a fifteenth (7 + 7 + 1),
// and so on, so that a call of yet another finds one free instead of waiting for a call of the
// flood to end (dynamic thresholds: Choudhury and Hahne, "Dynamic queue length thresholds for
// shared-memory packet switches", 1998). The last credit is for a function that has none. A call
// that no lane with a free credit takes, because those refused it, holds up neither other functions
// nor the calls behind it. A call goes to a worker that has a sandbox of its revision idle,
// otherwise to the one with the smallest share of its credits taken.
class lane_scheduler {
public:
    // Another function counts as in use for so long after its last call.
    static constexpr seconds use_remembered{60};
    static constexpr std::uint64_t taken_per_free = 7;  // credits of one function to those free

    // A worker's lane, from add() to remove().
    class lane {
    public:
        [[nodiscard]] std::uint32_t window() const noexcept { return window_; }
        [[nodiscard]] std::uint32_t outstanding() const noexcept { return outstanding_; }

    protected:
        lane() noexcept = default;
        ~lane() = default;

    private:
        friend class lane_scheduler;
        [[nodiscard]] std::uint32_t free() const noexcept {
            return outstanding_ < window_ ? window_ - outstanding_ : 0;
        }
        std::uint32_t window_ = 0;
        std::uint32_t outstanding_ = 0;
    };

    class line;

    // Waits from enqueue() until next() returns it; then has a credit until ended().
    class call : public list_hook<call> {
    public:
        explicit call(const faas::function& target)
            : function_id_(target.id), revision_(target.revision) {}
        // `by` is not to get it again.
        void add_refusal(const lane& by) { refused_by_.push_back(&by); }
        void inherit_refusals(const call& from) { refused_by_ = from.refused_by_; }

    protected:
        ~call() = default;

    private:
        friend class lane_scheduler;
        std::string function_id_;
        std::int64_t revision_;
        std::vector<const lane*> refused_by_;
        line* line_ = nullptr;
    };

    explicit lane_scheduler(lane_scheduler_options options = {});
    ~lane_scheduler();

    void add(lane& which);
    void remove(lane& which);
    void set_window(lane& which, std::uint32_t window);
    void set_warm(lane& which, std::string_view function_id, std::int64_t revision,
                  std::uint32_t idle);
    // Of the revision of a call that was enqueued.
    void set_warm(lane& which, const call& ended, std::uint32_t idle);
    // Sandboxes of older revisions are as good as gone; 0: of all.
    void retire(std::string_view function_id, std::int64_t current_revision);

    // Some lane has not refused it, whether it has a credit or not.
    [[nodiscard]] bool has_lane_for(const call& which) const;
    // False when its function's queue, or the whole, is full.
    [[nodiscard]] bool enqueue(call& which, steady_time now);
    void withdraw(call& which);

    struct choice {
        call& what;
        lane& where;
    };
    // The next call that has a lane with a credit, which it takes.
    [[nodiscard]] std::optional<choice> next(steady_time now);
    // Gives the credit back. `where` has not been removed.
    void ended(lane& where, call& what);
    // The same for a lane that is gone.
    void ended(call& what);

    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }
    [[nodiscard]] std::size_t lanes() const noexcept { return lanes_.size(); }
    [[nodiscard]] std::size_t functions() const noexcept { return lines_.size(); }
    [[nodiscard]] std::uint64_t credits() const noexcept { return window_total_; }
    [[nodiscard]] std::uint64_t credits_free() const noexcept { return free_total_; }

private:
    struct text_hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>()(text);
        }
    };

    line& line_of(std::string_view function_id, steady_time now);
    static void set_warm(line& of, lane& which, std::int64_t revision, std::uint32_t idle);
    void sweep(steady_time now);
    void touch(line& which, steady_time now);
    [[nodiscard]] bool others_in_use(const line& which, steady_time now) const;
    [[nodiscard]] bool may_take_credit(const line& which, steady_time now) const;
    [[nodiscard]] std::optional<choice> first_that_fits(line& from);
    [[nodiscard]] lane* choose(line& from, const call& what);
    template <class Change>
    void change(lane& which, Change how);

    lane_scheduler_options options_;
    std::unordered_map<std::string, std::unique_ptr<line>, text_hash, std::equal_to<>> lines_;
    std::list<line*> recent_;     // last called first
    intrusive_list<line> ready_;  // that have calls waiting, in turn
    std::vector<lane*> lanes_;
    std::size_t waiting_ = 0;
    std::size_t sweep_at_;
    std::uint64_t window_total_ = 0;
    std::uint64_t free_total_ = 0;
};

}  // namespace hearth::ctrl
