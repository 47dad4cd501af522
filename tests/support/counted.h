#pragma once

#include <utility>

namespace hearth::test {

// Counts how many of it are alive, and how often it was copied, so that tests can say when values
// are made, moved and destroyed.
class counted {
public:
    struct tally {
        int alive = 0;
        int made = 0;
        int copies = 0;
        int moves = 0;
    };

    explicit counted(tally& where, int value = 0) noexcept : tally_(&where), value_(value) {
        ++tally_->alive;
        ++tally_->made;
    }
    counted(const counted& other) noexcept : tally_(other.tally_), value_(other.value_) {
        ++tally_->alive;
        ++tally_->made;
        ++tally_->copies;
    }
    counted(counted&& other) noexcept
        : tally_(other.tally_), value_(std::exchange(other.value_, -1)) {
        ++tally_->alive;
        ++tally_->made;
        ++tally_->moves;
    }
    counted& operator=(const counted&) = delete;
    counted& operator=(counted&&) = delete;
    ~counted() { --tally_->alive; }

    [[nodiscard]] int value() const noexcept { return value_; }

private:
    tally* tally_;
    int value_;
};

}  // namespace hearth::test
