#include "faas/invocation.h"

#include <array>
#include <utility>

namespace hearth::faas {
namespace {

constexpr std::array<std::pair<invocation_status, std::string_view>, 5> names{{
    {invocation_status::queued, "QUEUED"},
    {invocation_status::running, "RUNNING"},
    {invocation_status::succeeded, "SUCCEEDED"},
    {invocation_status::failed, "FAILED"},
    {invocation_status::dead, "DEAD"},
}};

}  // namespace

std::string_view to_string(invocation_status status) noexcept {
    for (const auto& [value, text] : names) {
        if (value == status) {
            return text;
        }
    }
    return "FAILED";
}

bool status_from_string(std::string_view text, invocation_status& status) noexcept {
    for (const auto& [value, name] : names) {
        if (name == text) {
            status = value;
            return true;
        }
    }
    return false;
}

}  // namespace hearth::faas
