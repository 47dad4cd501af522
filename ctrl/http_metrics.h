#pragma once

#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "http/options.h"

namespace hearth::ctrl {

// http_request_duration_seconds by method, route and status, and a log line per failed exchange.
// One for all connection threads: what a thread has looked up once it finds again without a lock.
class http_metrics final : public http::observer {
public:
    explicit http_metrics(prometheus::Registry& registry);

    void on_exchange(const http::exchange& done) noexcept override;

private:
    prometheus::Histogram& histogram_for(const http::exchange& done);

    prometheus::Family<prometheus::Histogram>& family_;
};

}  // namespace hearth::ctrl
