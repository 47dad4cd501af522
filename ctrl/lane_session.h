#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "ctrl/lane_scheduler.h"
#include "faas/invocation.h"
#include "lane/connection.h"
#include "lane/incoming_body.h"

namespace hearth::ctrl {

class lane_hub;
class lane_session;

// One call on its way over lanes; shared by whoever waits for it and the session that carries it.
struct lane_call final : lane_scheduler::call {
    enum class stage : std::uint8_t { waiting, sent, started, ended };

    lane_call(const faas::invocation& what, deadline latest_start)
        : call(*what.target), asked(&what), until(latest_start) {}

    const faas::invocation* asked;  // null when nobody waits any more
    deadline until;
    stage at = stage::waiting;
    std::shared_ptr<lane_session> carrier;  // that it was sent on, unless that was lost
    std::shared_ptr<lane_call> self;        // while it waits in line
    std::uint64_t stream = 0;
    wait_list changed;  // told when it is sent, and when it has ended
    // Once ended: one of these; none when the lane was lost.
    std::optional<faas::outcome> end;
    std::optional<error> refusal;
    bool was_started = false;
};

// The controller's end of one lane. Ring thread only.
class lane_session final : public hearth::lane::connection,
                           public lane_scheduler::lane,
                           public std::enable_shared_from_this<lane_session> {
public:
    lane_session(lane_hub& hub, std::unique_ptr<net::stream> link,
                 hearth::lane::connection_options options);
    ~lane_session();

    // Until the lane ends, its calls with it.
    task<void> run();

    void carry(const std::shared_ptr<lane_call>& call);
    // Nobody waits for it any more: it is withdrawn where it has not started. Its texts may go when
    // this has returned.
    task<void> give_up(std::shared_ptr<lane_call> call);
    void retire(std::string_view function_id, std::int64_t current_revision);

    [[nodiscard]] bool greeted() const noexcept { return !worker_id_.empty(); }
    [[nodiscard]] const std::string& worker_id() const noexcept { return worker_id_; }
    [[nodiscard]] std::size_t calls() const noexcept { return carried_.size(); }

private:
    struct carried {
        std::shared_ptr<lane_call> call;
        faas::outcome outcome{};  // being received
        std::optional<hearth::lane::incoming_body> body{};
    };
    struct definition {
        faas::revision_key key;
        std::uint32_t slot;
    };

    result<> handle_frame(const hearth::lane::frame_header& header,
                          std::string_view payload) override;
    result<> handle_data(std::uint64_t stream, std::string_view piece) override;
    void on_mute() noexcept override;
    void on_over() noexcept override;

    result<> on_hello(std::string_view payload);
    result<> on_goodbye(std::string_view payload);
    result<> on_report(std::string_view payload);
    result<> on_credit(std::string_view payload);
    result<> on_warm(std::string_view payload);
    result<> on_stream(const hearth::lane::frame_header& header, std::string_view payload);
    result<> on_end(carried& call, std::string_view payload);
    result<> on_refused(carried& call, std::string_view payload);

    // nullopt when its definition is too large to be sent.
    std::optional<std::uint32_t> slot_of(const faas::function& target);
    void finish(carried& call);
    void lose_all();
    task<void> expire_hello();

    lane_hub& hub_;
    std::string worker_id_;
    std::uint64_t last_stream_ = 0;
    std::size_t lost_ = 0;  // calls, when it ended
    std::unordered_map<std::uint64_t, carried> carried_;
    std::list<definition> defined_;  // last used first
    faas::revision_map<std::list<definition>::iterator> slots_;
    event greeted_;
};

}  // namespace hearth::ctrl
