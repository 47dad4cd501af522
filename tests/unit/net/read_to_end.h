#pragma once

#include <string>

#include <gtest/gtest.h>

#include "net/stream.h"
#include "tests/support/test_executor.h"

namespace hearth::net {

// All that comes until the peer's end of stream.
inline task<> read_to_end(stream& from, std::string& text) {
    for (;;) {
        auto some = co_await from.read(test::soon());
        EXPECT_TRUE(some);
        if (!some || some->empty()) {
            co_return;
        }
        text += some->text();
    }
}

}  // namespace hearth::net
