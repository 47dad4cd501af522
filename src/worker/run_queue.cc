#include "worker/run_queue.h"

#include <array>
#include <charconv>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

namespace hearth::worker {
namespace {

constexpr milliseconds look_interval{1};  // a look costs some two microseconds
constexpr double newest_weight = 0.1;     // hence ten milliseconds

}  // namespace

run_queue::run_queue() : file_(::open("/proc/loadavg", O_RDONLY | O_CLOEXEC)) {}

double run_queue::mean(steady_time now) {
    if (now - looked_ >= look_interval) {
        looked_ = now;
        if (const auto seen = look()) {
            mean_ += newest_weight * (*seen - mean_);
        }
    }
    return mean_;
}

// "0.20 0.18 0.12 3/215 4711": the fourth field begins with the tasks that run or could.
std::optional<double> run_queue::look() const {
    std::array<char, 128> text;
    const ssize_t size = ::pread(file_.get(), text.data(), text.size(), 0);
    if (size <= 0) {
        return std::nullopt;
    }
    std::string_view left(text.data(), static_cast<std::size_t>(size));
    for (int field = 0; field < 3; ++field) {
        const auto space = left.find(' ');
        if (space == std::string_view::npos) {
            return std::nullopt;
        }
        left.remove_prefix(space + 1);
    }
    unsigned running = 0;
    const auto read = std::from_chars(left.data(), left.data() + left.size(), running);
    if (read.ec != std::errc() || running == 0) {
        return std::nullopt;
    }
    return running - 1;
}

}  // namespace hearth::worker
