#include "service_watch.h"

#include "base/concat.h"
#include "base/log.h"
#include "coro/when_all.h"
#include "text_table.h"

namespace hearth {
namespace {

struct checked {
    result<> outcome;
    milliseconds took{0};
};

// By value: the probe is the task's.
task<checked> check(service_probe probe, deadline until) {
    const auto began = steady_clock::now();
    auto outcome = co_await probe.ask(until);
    co_return checked{std::move(outcome),
                      std::chrono::duration_cast<milliseconds>(steady_clock::now() - began)};
}

}  // namespace

service_watch::service_watch(std::vector<service_probe> probes) {
    for (auto& each : probes) {
        services_.push_back({std::move(each), {}});
    }
}

task<void> service_watch::ask(watched& which) {
    auto outcome = co_await which.probe.ask(after(patience));
    // /health is open to all: the kind is for them, the text for the log.
    std::string trouble = outcome
                              ? std::string()
                              : concat(which.probe.service, ": ", to_string(outcome.error().code));
    if (trouble != which.trouble) {
        if (trouble.empty()) {
            log::info("a service answers again",
                      {{"service", which.probe.service}, {"target", which.probe.target}});
        } else {
            log::warning("a service does not answer", {{"service", which.probe.service},
                                                       {"target", which.probe.target},
                                                       {"reason", outcome.error().message}});
        }
    }
    which.trouble = std::move(trouble);
}

task<void> service_watch::look() {
    scope asking(co_await current_stop());
    for (auto& each : services_) {
        asking.spawn(ask(each));
    }
    co_await asking.join();
}

task<void> service_watch::run() {
    while (co_await sleep_until(after(interval))) {
        co_await look();
    }
}

std::string service_watch::trouble() const {
    std::string all;
    for (const auto& each : services_) {
        if (!each.trouble.empty()) {
            all += concat(all.empty() ? "" : "; ", each.trouble);
        }
    }
    return all;
}

task<bool> print_check(std::vector<service_probe> probes) {
    std::vector<task<checked>> asked;
    asked.reserve(probes.size());
    for (const auto& each : probes) {
        asked.push_back(check(each, after(service_watch::patience)));
    }
    const auto answers = co_await when_all(std::move(asked));
    std::vector<std::vector<std::string>> rows{{"service", "tried", "ms", "result", "target"}};
    bool good = true;
    for (std::size_t i = 0; i < probes.size(); ++i) {
        const auto& [outcome, took] = answers[i];
        good = good && outcome.has_value();
        rows.push_back({probes[i].service, probes[i].needs, concat(took.count()),
                        outcome ? "ok" : concat("FAILED: ", outcome.error().message),
                        probes[i].target});
    }
    print_table(rows);
    co_return good;
}

}  // namespace hearth
