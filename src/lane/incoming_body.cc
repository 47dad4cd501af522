#include "lane/incoming_body.h"

#include <algorithm>

#include "base/check.h"

namespace hearth::lane {

incoming_body::incoming_body(std::uint64_t stream, std::initializer_list<section> sections,
                             byte_budget& budget, outbox& answers)
    : stream_(stream), answers_(answers) {
    HEARTH_CHECK(sections.size() <= sections_.size(), "a body of more sections than any has");
    std::ranges::copy(sections, sections_.begin());
    for (const section& each : sections) {
        total_ += each.bytes;
    }
    if (total_ <= body_bytes_free) {
        allowed_ = total_;
        reserve();
        return;
    }
    allowed_ = body_bytes_free;
    budget.request(*this, total_ - body_bytes_free);
}

void incoming_body::on_granted() noexcept {
    allowed_ = total_;
    reserve();
    answers_.send(window{.bytes = static_cast<std::uint32_t>(total_ - body_bytes_free)}, stream_);
}

// Only now: announcing costs a peer nothing.
void incoming_body::reserve() {
    for (const section& each : sections_) {
        if (each.into != nullptr) {
            each.into->reserve(each.bytes);
        }
    }
}

result<> incoming_body::take(std::string_view piece) {
    if (piece.size() > allowed_ - received_) {
        return fail(errc::protocol, allowed_ == total_
                                        ? "a body is longer than was announced"
                                        : "more of a body came than its window allows");
    }
    received_ += piece.size();
    while (!piece.empty()) {
        section& into = sections_[current_];
        const auto part = piece.substr(0, into.bytes - into.into->size());
        *into.into += part;
        piece.remove_prefix(part.size());
        if (into.into->size() == into.bytes) {
            ++current_;
        }
    }
    return {};
}

}  // namespace hearth::lane
