#include "lane/byte_budget.h"

#include <utility>

namespace hearth::lane {

void byte_budget::claim::release() noexcept {
    unlink();
    if (byte_budget* from = std::exchange(held_from_, nullptr)) {
        from->free_ += bytes_;
        from->serve();
    }
}

void byte_budget::request(claim& by, std::size_t bytes) noexcept {
    by.bytes_ = bytes;
    waiting_.push_back(by);
    serve();
}

void byte_budget::serve() noexcept {
    while (!waiting_.empty() && waiting_.front().bytes_ <= free_) {
        claim& next = waiting_.front();
        next.unlink();
        free_ -= next.bytes_;
        next.held_from_ = this;
        next.on_granted();
    }
}

}  // namespace hearth::lane
