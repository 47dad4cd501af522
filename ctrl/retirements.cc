#include "ctrl/retirements.h"

namespace hearth::ctrl {

void retirements::add(std::string_view function_id, std::int64_t current_revision,
                      steady_time now) {
    if (entries_.size() >= kept_max) {
        entries_.pop_front();
    }
    entries_.push_back({std::string(function_id), current_revision, now});
}

void retirements::write(json::writer& out, steady_time now) {
    while (!entries_.empty() && now - entries_.front().at > kept_for_) {
        entries_.pop_front();
    }
    out.begin_array("retired");
    for (const entry& each : entries_) {
        out.begin_object();
        out.member("functionId", each.function_id);
        out.member("currentRevision", each.current_revision);
        out.end_object();
    }
    out.end_array();
}

}  // namespace hearth::ctrl
