#include "base/log.h"

#include <atomic>
#include <string>

#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"

namespace hearth::log {
namespace {

std::atomic<level> minimum_level{level::info};
std::atomic<int> descriptor{STDERR_FILENO};

std::string_view name_of(level severity) noexcept {
    switch (severity) {
        case level::debug:
            return "debug";
        case level::info:
            return "info";
        case level::warning:
            return "warning";
        case level::error:
            return "error";
    }
    return "error";
}

}  // namespace

void set_level(level minimum) noexcept {
    minimum_level.store(minimum, std::memory_order_relaxed);
}

bool enabled(level wanted) noexcept {
    return wanted >= minimum_level.load(std::memory_order_relaxed);
}

void set_descriptor(int fd) noexcept {
    descriptor.store(fd, std::memory_order_relaxed);
}

void write(level severity, std::string_view message, std::initializer_list<field> fields) {
    json::writer line;
    line.begin_object();
    line.member("level", name_of(severity));
    line.member("timestamp", format_rfc3339(wall_clock_ms()));
    line.member("msg", message);
    for (const field& each : fields) {
        std::visit([&](const auto& value) { line.member(each.name, value); }, each.value);
    }
    line.end_object();
    std::string text = std::move(line).take();
    text += '\n';
    // A log that cannot be written has nowhere to be reported; the line is dropped.
    [[maybe_unused]] const ssize_t written =
        ::write(descriptor.load(std::memory_order_relaxed), text.data(), text.size());
}

}  // namespace hearth::log
