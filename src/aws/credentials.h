#pragma once

#include <string>
#include <string_view>

#include "aws/sigv4.h"
#include "base/clock.h"
#include "base/result.h"
#include "coro/task.h"

namespace hearth::aws {

// Where signing keys come from. Ring thread only.
class credentials_source {
public:
    virtual ~credentials_source() = default;
    // Keys that are good now. errc::permission_denied when there are none to be had, with what was
    // tried; errc::unavailable, deadline_exceeded, cancelled.
    virtual task<result<credentials>> get(deadline until) = 0;
    // A service said that these have expired: the next get() brings others if there are any.
    virtual void refused(const credentials& which) = 0;
};

// Keys that never change.
class fixed_credentials final : public credentials_source {
public:
    explicit fixed_credentials(credentials keys) : keys_(std::move(keys)) {}
    task<result<credentials>> get(deadline) override { co_return keys_; }
    void refused(const credentials&) override {}

private:
    credentials keys_;
};

}  // namespace hearth::aws
