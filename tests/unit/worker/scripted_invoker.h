#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "faas/ports.h"

namespace hearth::test {

// The invoker of tests: does what `script` says and notes what it was asked.
class scripted_invoker final : public faas::invoker {
public:
    using step = std::function<task<result<faas::outcome>>(const faas::invocation&)>;

    task<result<faas::outcome>> invoke(const faas::invocation& call, deadline until) override {
        job_ids.push_back(call.job_id);
        deadlines.push_back(until);
        co_return co_await script(call);
    }
    void retire(std::string_view function_id, std::int64_t current_revision) override {
        retired.emplace_back(function_id, current_revision);
    }

    step script = [](const faas::invocation&) -> task<result<faas::outcome>> {
        co_return succeeding("null");
    };
    std::vector<std::string> job_ids;
    std::vector<deadline> deadlines;
    std::vector<std::pair<std::string, std::int64_t>> retired;

    [[nodiscard]] static faas::outcome succeeding(std::string json) {
        faas::outcome end;
        end.status = faas::invocation_status::succeeded;
        end.result_json = std::move(json);
        return end;
    }
    [[nodiscard]] static faas::outcome failing(std::string type) {
        faas::outcome end;
        end.error_type = std::move(type);
        end.error_message = "as the test says";
        return end;
    }
};

}  // namespace hearth::test
