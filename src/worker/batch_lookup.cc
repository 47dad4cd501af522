#include "worker/batch_lookup.h"

#include "coro/scope.h"

namespace hearth::worker {

batch_lookup::batch_lookup(faas::invocation_log& log, faas::function_table& functions,
                           const std::vector<faas::job_delivery>& batch)
    : log_(log), functions_(functions) {
    for (const auto& each : batch) {
        job_ids_.insert(each.content.job_id);
        targets_.emplace(each.content.function_id, shared_function());
    }
}

task<void> batch_lookup::ask(deadline until) {
    scope asking(co_await current_stop());
    asking.spawn(ask_log(until));
    for (auto& [function_id, target] : targets_) {
        asking.spawn(ask_table(function_id, target, until));
    }
    co_await asking.join();
    answered_.set();
}

task<void> batch_lookup::ask_log(deadline until) {
    const std::vector<std::string> asked(job_ids_.begin(), job_ids_.end());
    auto ended = co_await log_.ended(asked, until);
    if (!ended) {
        ended_ = propagate(ended);
        co_return;
    }
    for (std::size_t i = 0; i < asked.size(); ++i) {
        if ((*ended)[i]) {
            ended_->insert(asked[i]);
        }
    }
}

task<void> batch_lookup::ask_table(const std::string& function_id, result<shared_function>& into,
                                   deadline until) {
    auto found = co_await functions_.get(function_id, until);
    if (found) {
        into = std::make_shared<const faas::function>(std::move(*found));
    } else {
        into = propagate(found);
    }
}

task<batch_lookup::answer> batch_lookup::about(const faas::job& one) {
    if (auto answered = co_await answered_.wait(); !answered) {
        co_return answer{propagate(answered), propagate(answered)};
    }
    const result<bool> ended =
        ended_ ? result<bool>(ended_->contains(one.job_id)) : std::unexpected(ended_.error());
    co_return answer{ended, targets_.at(one.function_id)};
}

}  // namespace hearth::worker
