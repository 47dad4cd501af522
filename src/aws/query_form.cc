#include "aws/query_form.h"

#include "aws/text.h"
#include "base/concat.h"

namespace hearth::aws {

query_form::query_form(std::string_view action, std::string_view version) : action_(action) {
    add("Action", action);
    add("Version", version);
}

query_form& query_form::add(std::string_view name, std::string_view value) {
    body_ += body_.empty() ? "" : "&";
    body_ += concat(name, '=', percent_encode(value));
    return *this;
}

request query_form::take() && {
    request asked;
    asked.operation = std::move(action_);
    asked.headers = {{"content-type", "application/x-www-form-urlencoded; charset=utf-8"}};
    asked.body = std::move(body_);
    return asked;
}

}  // namespace hearth::aws
