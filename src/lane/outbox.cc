#include "lane/outbox.h"

#include <algorithm>
#include <utility>

#include "base/concat.h"
#include "coro/yield.h"

namespace hearth::lane {

struct outbox::outgoing {
    std::uint64_t stream = 0;
    body_parts body;
    std::size_t part = 0;  // that is being sent; empty ones are passed over
    std::size_t left = 0;
    std::size_t allowed = 0;  // to be sent without another window frame
    bool ready = false;       // it stands in line
    std::string kept;         // the rest, once settled

    // The next chunk, which becomes sent.
    std::string_view take() {
        while (body.parts[part].empty()) {
            ++part;
        }
        std::string_view& from = body.parts[part];
        const auto chunk = from.substr(0, std::min(chunk_bytes_max, allowed));
        from.remove_prefix(chunk.size());
        left -= chunk.size();
        allowed -= chunk.size();
        return chunk;
    }
};

std::size_t body_parts::size() const noexcept {
    std::size_t bytes = 0;
    for (const auto part : parts) {
        bytes += part.size();
    }
    return bytes;
}

void outbox::send_body(std::uint64_t stream, body_parts body) {
    const std::size_t size = body.size();
    if (size == 0) {
        return;
    }
    if (size <= body_bytes_copied) {
        append(queued_, frame_header{static_cast<std::uint32_t>(size), frame_type::data, stream});
        for (const auto part : body.parts) {
            queued_ += part;
        }
        queued_one();
        return;
    }
    auto made = std::make_shared<outgoing>();
    made->stream = stream;
    made->body = std::move(body);
    made->left = size;
    made->allowed = std::min(size, body_bytes_free);
    made->ready = true;
    bodies_.emplace(stream, made);
    ready_.push_back(std::move(made));
    wake_.notify_one();
}

bool outbox::widen(std::uint64_t stream, std::size_t bytes) {
    const auto found = bodies_.find(stream);
    if (found == bodies_.end()) {
        return false;
    }
    outgoing& body = *found->second;
    if (bytes > body.left - body.allowed) {
        return false;
    }
    body.allowed += bytes;
    if (!std::exchange(body.ready, true)) {
        ready_.push_back(found->second);
        wake_.notify_one();
    }
    return true;
}

task<void> outbox::settle(std::uint64_t stream) {
    const auto is_ours = [stream](const auto& each) {
        return each->stream == stream;
    };
    while (std::ranges::any_of(in_write_, is_ours)) {
        co_await written_.wait_unstoppable();
    }
    const auto found = bodies_.find(stream);
    if (found == bodies_.end() || found->second->body.keeper != nullptr) {
        co_return;
    }
    outgoing& body = *found->second;
    for (const auto part : std::exchange(body.body.parts, {})) {
        body.kept += part;
    }
    body.part = 0;
    body.body.parts[0] = body.kept;
}

void outbox::add_chunks(std::vector<std::string_view>& parts) {
    for (std::size_t i = 0; i < chunks_per_write && !ready_.empty(); ++i) {
        auto body = std::move(ready_.front());
        ready_.pop_front();
        const auto chunk = body->take();
        chunk_headers_[i].clear();
        append(chunk_headers_[i], frame_header{static_cast<std::uint32_t>(chunk.size()),
                                               frame_type::data, body->stream});
        parts.emplace_back(chunk_headers_[i]);
        parts.push_back(chunk);
        ++counts_.frames;
        in_write_.push_back(body);
        if (body->left == 0) {
            bodies_.erase(body->stream);
        } else if (body->allowed > 0) {
            ready_.push_back(std::move(body));
        } else {
            body->ready = false;
        }
    }
}

void outbox::finish() noexcept {
    finishing_ = true;
    wake_.notify_one();
}

task<result<>> outbox::run(net::stream& to, milliseconds write_wait_max) {
    std::vector<std::string_view> parts;
    for (;;) {
        if (queued_.empty() && ready_.empty()) {
            if (finishing_) {
                co_return result<>{};
            }
            if (auto woken = co_await wake_.wait(); !woken) {
                co_return woken;
            }
            co_await yield();  // who is ready may have something to say as well
            continue;
        }
        if (queued_.size() > queued_bytes_max) {
            co_return fail(errc::limit_exceeded,
                           concat("the peer does not read: ", queued_.size(), " bytes wait"));
        }
        sending_.clear();
        std::swap(sending_, queued_);
        parts.clear();
        if (!sending_.empty()) {
            parts.emplace_back(sending_);
        }
        add_chunks(parts);
        for (const auto part : parts) {
            counts_.bytes += part.size();
        }
        ++counts_.writes;
        auto sent = co_await to.write(parts, within(write_wait_max));
        in_write_.clear();
        written_.notify_all();
        if (!sent) {
            co_return sent;
        }
    }
}

}  // namespace hearth::lane
