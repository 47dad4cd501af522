#include "worker/lane_probe.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/concat.h"
#include "base/ids.h"
#include "lane/connection.h"

namespace hearth::worker {
namespace {

errc code_of(lane::goodbye_reason reason) {
    using enum lane::goodbye_reason;
    switch (reason) {
        case wrong_token:
            return errc::permission_denied;
        case limit:
            return errc::limit_exceeded;
        case done:
            return errc::unavailable;
        default:
            return errc::protocol;
    }
}

class questioner final : public lane::connection {
public:
    questioner(std::unique_ptr<net::stream> link, lane::connection_options options)
        : connection(std::move(link), lane::side::worker, options) {}

    task<result<>> ask(std::string token, std::string worker_id) {
        out().send(lane::hello{.token = token, .worker_id = worker_id});
        const error ended = co_await serve();
        if (answer_) {
            co_return *answer_;
        }
        co_return fail(ended.code,
                       concat("what listens there does not welcome a worker (", ended.message,
                              "); LANE_URL names a controller's LANE_PORT or "
                              "LANE_SOCKET"));
    }

private:
    result<> handle_frame(const lane::frame_header& header, std::string_view payload) override {
        if (header.type == lane::frame_type::welcome) {
            answer_ = result<>{};
            leave(lane::goodbye_reason::done, "it was only a question");
            return {};
        }
        auto said = header.type == lane::frame_type::goodbye
                        ? lane::decode<lane::goodbye>(payload)
                        : fail(errc::protocol, "a frame before welcome");
        if (!said) {
            return propagate(said);
        }
        answer_ = fail(code_of(said->reason), std::string(said->text));
        end({errc::closed, std::string(said->text), 0});
        return {};
    }
    result<> handle_data(std::uint64_t, std::string_view) override {
        return fail(errc::protocol, "a body before welcome");
    }
    void on_over() noexcept override {}

    std::optional<result<>> answer_;
};

}  // namespace

task<result<>> try_lane(thread_pool& lookups, lane_endpoint where,
                        std::shared_ptr<const net::tls_context> tls, std::string token,
                        deadline until) {
    auto link = co_await connect_lane(lookups, std::move(where), std::move(tls), until);
    if (!link) {
        co_return propagate(link);
    }
    const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
    const auto patience = std::max(left, milliseconds(1));
    questioner asking(std::move(*link), {.silence_max = patience, .write_wait_max = patience});
    co_return co_await asking.ask(std::move(token), concat("check-", make_uuid()));
}

}  // namespace hearth::worker
