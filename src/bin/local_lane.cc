#include "local_lane.h"

#include "base/ids.h"
#include "base/log.h"
#include "net/memory_stream.h"

namespace hearth {
namespace {

// Both ends live and die together: nothing is to be told regularly, and silence means nothing.
constexpr std::chrono::hours report_interval{24};
constexpr lane::connection_options connection{
    .silence_max = unlimited, .write_wait_max = unlimited, .news = log::level::debug};
constexpr seconds greeting_wait{5};
constexpr const char* worker_id = "local";

}  // namespace

local_lane::local_lane(worker::worker& running, thread_pool& lookups)
    : local_lane(running, lookups, make_uuid()) {}

local_lane::local_lane(worker::worker& running, thread_pool& lookups, const std::string& token)
    : host_(
          running.dispatch(), [] { return lane::credits_max; },
          [] { return faas::worker_report{.id = worker_id, .host = worker_id}; }),
      hub_(
          {.token = token, .report_interval = report_interval, .connection = connection},
          [this](const faas::worker_report&) { greeted_.set(); }, [](const std::string&) {}),
      over_lane_(hub_, running, {.same_worker_otherwise = true}),
      client_(running, host_, lookups,
              {.token = token, .worker_id = worker_id, .connection = connection}) {}

local_lane::~local_lane() = default;

task<result<>> local_lane::open() {
    auto [ours, theirs] = net::memory_stream::make_pair(worker_id);
    hub_.take(std::move(ours));
    serving_.spawn(serve(std::move(theirs)));
    // The worker's first report comes before its credits, in one write.
    co_return co_await greeted_.wait(after(greeting_wait));
}

task<void> local_lane::serve(std::unique_ptr<net::stream> end) {
    co_await client_.serve(std::move(end));
}

task<void> local_lane::finish() {
    co_await client_.finish(after(greeting_wait));
    co_await serving_.join();
    co_await hub_.finish();
}

}  // namespace hearth
