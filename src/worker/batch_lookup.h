#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "coro/event.h"
#include "coro/task.h"
#include "faas/ports.h"

namespace hearth::worker {

// What the jobs of one delivery ask of log and table before they begin, asked once for all of them.
// Ring thread only.
class batch_lookup {
public:
    using shared_function = std::shared_ptr<const faas::function>;
    struct answer {
        result<bool> ended;              // whether the job's outcome stands already
        result<shared_function> target;  // errc::not_found when it was deleted
    };

    // The ports outlive this.
    batch_lookup(faas::invocation_log& log, faas::function_table& functions,
                 const std::vector<faas::job_delivery>& batch);

    // Once. Ends when everything is answered, `until` at the latest.
    task<void> ask(deadline until);
    // Waits for ask() to end.
    task<answer> about(const faas::job& one);

private:
    task<void> ask_log(deadline until);
    task<void> ask_table(const std::string& function_id, result<shared_function>& into,
                         deadline until);

    faas::invocation_log& log_;
    faas::function_table& functions_;
    std::set<std::string> job_ids_;
    result<std::set<std::string>> ended_;
    std::map<std::string, result<shared_function>> targets_;
    event answered_;
};

}  // namespace hearth::worker
