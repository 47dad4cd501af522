#pragma once

#include <optional>
#include <string_view>

#include "ctrl/api_key.h"
#include "ctrl/failed_attempts.h"
#include "ctrl/retirements.h"
#include "ctrl/worker_registry.h"
#include "http/router.h"
#include "uring/ring.h"

namespace hearth::ctrl {

// The part of the HTTP API that a fleet's workers and its operator use (docs/api.md, "Workers").
// Workers show the worker token, the operator the API key. Handlers run on their connection's
// thread and reach the registry on the home ring.
class worker_api {
public:
    // All outlive it.
    struct parts {
        uring::ring& home;
        worker_registry& workers;
        retirements& retired;
        const api_key& worker_token;
        const api_key& operator_key;
        failed_attempts& failures;
    };
    explicit worker_api(const parts& from) : parts_(from) {}

    void add_routes(http::router& routes);

private:
    task<http::response> heartbeat(http::request& request);
    task<http::response> leave(http::request& request);
    task<http::response> list(http::request& request);

    template <class Function>
    auto at_home(Function function);
    // What to answer a request without the worker token; nothing when it has it.
    std::optional<http::response> refuse(http::request& request, const api_key& key,
                                         std::string_view wanted);
    // On the home ring.
    task<result<std::string>> take(faas::worker_report report);
    task<bool> forget(std::string id);
    task<std::vector<worker_registry::entry>> look();

    parts parts_;
};

}  // namespace hearth::ctrl
