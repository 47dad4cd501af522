#include "ctrl/status_routes.h"

#include <utility>

#include "base/json.h"
#include "coro/remote.h"

namespace hearth::ctrl {

status_routes::status_routes(uring::ring& home, std::function<task<std::string>()> metrics_text,
                             std::function<std::string()> unhealthy)
    : home_(home), metrics_text_(std::move(metrics_text)), unhealthy_(std::move(unhealthy)) {}

void status_routes::add_routes(http::router& routes) {
    routes.add(http::method::get, "/health", [this](http::request&) { return health(); });
    routes.add(http::method::get, "/metrics", [this](http::request&) { return metrics(); });
}

task<http::response> status_routes::metrics() {
    http::response out(200);
    out.set_content_type("text/plain; version=0.0.4; charset=utf-8");
    out.append(co_await run_on(home_, home_.remote_tasks(), [this] { return metrics_text_(); }));
    co_return out;
}

task<std::string> status_routes::trouble_at_home() {
    co_return unhealthy_();
}

task<http::response> status_routes::health() {
    const std::string trouble =
        co_await run_on(home_, home_.remote_tasks(), [this] { return trouble_at_home(); });
    json::writer out;
    out.begin_object();
    out.member("status", trouble.empty() ? "ok" : "unavailable");
    if (!trouble.empty()) {
        out.member("reason", trouble);
    }
    out.end_object();
    co_return http::response::json(trouble.empty() ? 200 : 503, std::move(out).take());
}

}  // namespace hearth::ctrl
