#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>

namespace hearth::worker {

// Which revisions of a function are over. A call that looked its function up before the update, and
// waited, comes after the sandboxes of its revision were ended; the one that is started for it is
// not kept for a next. One thread.
class retired_revisions {
public:
    // The oldest is forgotten beyond it: a sandbox that is kept in vain ends when it was idle for
    // long.
    static constexpr std::size_t functions_max = 10'000;

    // Revisions below `current_revision` are over; all of them where that is 0.
    void add(std::string_view function_id, std::int64_t current_revision);
    [[nodiscard]] bool contains(std::string_view function_id, std::int64_t revision) const;
    [[nodiscard]] std::size_t size() const noexcept { return current_.size(); }

private:
    std::map<std::string, std::int64_t, std::less<>> current_;  // by function
    std::deque<std::string> by_age_;                            // oldest first
};

}  // namespace hearth::worker
