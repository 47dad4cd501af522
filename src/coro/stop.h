#pragma once

#include "coro/intrusive_list.h"

namespace hearth {

// Cancellation within one thread. A stop_source is requested once; everything that registered with
// it is told once, in order of registration. Sources form a tree: stopping a parent stops its
// children. A stop is a request: the operation that it reaches still completes, and is awaited, in
// its own time.

class stop_callback : public list_hook<stop_callback> {
public:
    virtual void on_stop() noexcept = 0;

protected:
    ~stop_callback() = default;
};

class stop_source final : private stop_callback {
public:
    stop_source() noexcept = default;
    // `parent` may be null and must outlive this source.
    explicit stop_source(stop_source* parent) noexcept {
        if (parent != nullptr) {
            parent->add(*this);
            requested_ = parent->requested();
        }
    }
    ~stop_source() { unlink(); }

    [[nodiscard]] bool requested() const noexcept { return requested_; }

    void request_stop() noexcept {
        if (requested_) {
            return;
        }
        requested_ = true;
        // A callback may unlink others, so the list is taken from the front until it is empty.
        while (!callbacks_.empty()) {
            stop_callback& callback = callbacks_.front();
            callback.unlink();
            callback.on_stop();
        }
    }

    // Registers `callback`, which unlinks itself when it is no longer interested. After the request
    // nothing is registered: callers look at requested() first.
    void add(stop_callback& callback) noexcept {
        if (!requested_) {
            callbacks_.push_back(callback);
        }
    }

private:
    void on_stop() noexcept override { request_stop(); }

    intrusive_list<stop_callback> callbacks_;
    bool requested_ = false;
};

}  // namespace hearth
