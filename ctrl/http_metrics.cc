#include "ctrl/http_metrics.h"

#include <map>
#include <string>
#include <tuple>

#include "base/log.h"

namespace hearth::ctrl {
namespace {

const prometheus::Histogram::BucketBoundaries boundaries{
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};

}  // namespace

http_metrics::http_metrics(prometheus::Registry& registry)
    : family_(prometheus::BuildHistogram()
                  .Name("http_request_duration_seconds")
                  .Help("From a request's first byte to its response's last")
                  .Register(registry)) {}

prometheus::Histogram& http_metrics::histogram_for(const http::exchange& done) {
    // Routes are the router's patterns and methods a fixed list, so the table stays small. The
    // family belongs to the key because tests make several.
    using key = std::tuple<const void*, std::string, std::string, int>;
    thread_local std::map<key, prometheus::Histogram*, std::less<>> known;
    const auto wanted = std::tuple<const void*, std::string_view, std::string_view, int>(
        &family_, done.method, done.route, done.status);
    auto found = known.find(wanted);
    if (found == known.end()) {
        auto& made = family_.Add({{"method", std::string(done.method)},
                                  {"route", std::string(done.route)},
                                  {"status", std::to_string(done.status)}},
                                 boundaries);
        found = known.emplace(key(wanted), &made).first;
    }
    return *found->second;
}

void http_metrics::on_exchange(const http::exchange& done) noexcept {
    const double duration_s = std::chrono::duration<double>(done.duration).count();
    histogram_for(done).Observe(duration_s);
    if (log::enabled(log::level::debug)) {
        log::debug("request", {{"requestId", done.request_id},
                               {"client", done.client},
                               {"method", done.method},
                               {"path", done.path},
                               {"status", done.status},
                               {"durationMs", duration_s * 1000},
                               {"requestBytes", done.request_bytes},
                               {"responseBytes", done.response_bytes}});
    }
}

}  // namespace hearth::ctrl
