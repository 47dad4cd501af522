#include "http/date.h"

#include <array>

#include "base/concat.h"

namespace hearth::http {
namespace {

// strftime() would follow the process's locale; the protocol is English.
constexpr std::array<std::string_view, 7> days = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

std::string two_digits(int value) {
    return concat(value / 10, value % 10);
}

}  // namespace

std::string_view date_cache::at(std::time_t time) {
    if (time != made_for_) {
        made_for_ = time;
        std::tm utc{};
        ::gmtime_r(&time, &utc);
        text_ = concat(days[static_cast<std::size_t>(utc.tm_wday)], ", ", two_digits(utc.tm_mday),
                       " ", months[static_cast<std::size_t>(utc.tm_mon)], " ", utc.tm_year + 1900,
                       " ", two_digits(utc.tm_hour), ":", two_digits(utc.tm_min), ":",
                       two_digits(utc.tm_sec), " GMT");
    }
    return text_;
}

}  // namespace hearth::http
