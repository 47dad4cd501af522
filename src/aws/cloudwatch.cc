#include "aws/cloudwatch.h"

#include <array>
#include <charconv>
#include <cmath>

#include "aws/query_form.h"
#include "base/concat.h"

namespace hearth::aws {
namespace {

std::string decimal(double value) {
    std::array<char, 32> text;
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
    return {text.data(), end};
}

}  // namespace

task<result<>> cloudwatch::put(std::string name_space, datum what, deadline until) {
    if (!std::isfinite(what.value)) {
        co_return fail(errc::invalid_argument, concat("the metric ", what.name, " is no number"));
    }
    query_form form("PutMetricData", "2010-08-01");
    form.add("Namespace", name_space)
        .add("MetricData.member.1.MetricName", what.name)
        .add("MetricData.member.1.Value", decimal(what.value))
        .add("MetricData.member.1.Unit", what.unit)
        .add("MetricData.member.1.Timestamp", format_rfc3339(what.at));
    for (std::size_t i = 0; i < what.dimensions.size(); ++i) {
        const std::string at = concat("MetricData.member.1.Dimensions.member.", i + 1);
        form.add(at + ".Name", what.dimensions[i].name)
            .add(at + ".Value", what.dimensions[i].value);
    }
    auto answer = co_await api_.call(std::move(form).take(), until);
    if (!answer) {
        co_return propagate(answer);
    }
    co_return result<>{};
}

}  // namespace hearth::aws
