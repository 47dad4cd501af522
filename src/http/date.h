#pragma once

#include <ctime>
#include <string>
#include <string_view>

namespace hearth::http {

// The value of the Date header (IMF-fixdate, RFC 9110 §5.6.7), made anew once a second. One per
// thread that uses it.
class date_cache {
public:
    [[nodiscard]] std::string_view now() { return at(std::time(nullptr)); }
    [[nodiscard]] std::string_view at(std::time_t time);

private:
    std::time_t made_for_ = -1;
    std::string text_;
};

}  // namespace hearth::http
