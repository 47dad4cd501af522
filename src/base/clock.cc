#include "base/clock.h"

#include <cstdio>
#include <ctime>

namespace hearth {

epoch_ms wall_clock_ms() noexcept {
    return std::chrono::duration_cast<milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::string format_rfc3339(epoch_ms time) {
    // Rounded down, not towards zero, so that times before 1970 keep their milliseconds positive.
    const epoch_ms fraction_ms = (time % 1000 + 1000) % 1000;
    const auto whole_s = static_cast<std::time_t>((time - fraction_ms) / 1000);
    std::tm parts{};
    ::gmtime_r(&whole_s, &parts);
    char text[40];
    const int length =
        std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                      parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                      parts.tm_min, parts.tm_sec, static_cast<int>(fraction_ms));
    return {text, static_cast<std::size_t>(length)};
}

}  // namespace hearth
