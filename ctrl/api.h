#pragma once

#include <functional>
#include <string>
#include <vector>

#include "coro/thread_pool.h"
#include "ctrl/api_key.h"
#include "ctrl/calls.h"
#include "ctrl/failed_attempts.h"
#include "ctrl/registry.h"
#include "ctrl/status_routes.h"
#include "http/router.h"
#include "uring/ring.h"

namespace hearth::ctrl {

struct api_options {
    std::string temporary_folder;  // for uploads, on the disk of the code store
};

// The HTTP API of docs/api.md. Handlers run on the thread of their connection: they read and
// check there, and hand the domain's part to the home ring.
class api {
public:
    // `metrics_text` renders /metrics on the home ring; `healthy` says why /health is not 200, or
    // is empty. All outlive the api.
    struct parts {
        uring::ring& home;
        registry& functions;
        calls& running;
        faas::rate_limiter& limiter;
        thread_pool& blocking;
        const api_key& key;
        failed_attempts& failures;
        std::function<std::string()> make_job_id;  // of what goes to the queue; any thread
        std::function<task<std::string>()> metrics_text;
        std::function<std::string()> unhealthy;
    };
    api(parts from, api_options options);

    void add_routes(http::router& routes);

private:
    using method_handler = task<http::response> (api::*)(http::request&);

    void add(http::router& routes, http::method method, std::string_view pattern,
             method_handler handle);
    task<http::response> guarded(http::request& request, method_handler handle);

    task<http::response> upload(http::request& request);
    task<http::response> list_functions(http::request& request);
    task<http::response> show_function(http::request& request);
    task<http::response> update_function(http::request& request);
    task<http::response> delete_function(http::request& request);
    task<http::response> run(http::request& request);
    task<http::response> status(http::request& request);
    task<http::response> metrics(http::request& request);

    template <class Function>
    auto at_home(Function function);
    task<result<function_form>> read_form(http::request& request, bool json_allowed);

    task<http::response> enqueue(http::request& request, faas::invocation call,
                                 const std::string& function_id);
    task<http::response> invoke(http::request& request, faas::invocation call,
                                const std::string& function_id);

    // On the home ring.
    task<result<>> enqueue_at_home(faas::invocation& call, const std::string& function_id);
    task<result<faas::outcome>> invoke_at_home(const http::request& request, faas::invocation& call,
                                               const std::string& function_id);

    parts parts_;
    api_options options_;
    status_routes status_;
};

}  // namespace hearth::ctrl
