#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>

#include "tests/integration/lane/lane_fixture.h"
#include "tests/unit/lane/recorded_frames.h"

// Peers that are not what they should be.

namespace hearth {
namespace {

using test::soon;
using testing::HasSubstr;

class lane_peers : public test::lane_fixture {
protected:
    // A stream to the hub that the test writes by hand.
    unique_fd knock() {
        auto pair = test::make_socket_pair();
        hub_->take(std::make_unique<net::socket_stream>(std::move(pair.ours), "unix"));
        return std::move(pair.theirs);
    }
    static std::string hello_frame(std::string_view with_token = token) {
        std::string frames;
        lane::append(frames, lane::hello{.token = with_token, .worker_id = "stranger"});
        return frames;
    }
    // What the hub says until it closes.
    std::vector<lane::recorded_frames::frame> all_said(const unique_fd& end) {
        lane::recorded_frames found;
        lane::parser parse(lane::side::controller, found);
        bool ended = false;
        loop_.run_until([&] {
            char buffer[4096];
            const ssize_t count = ::recv(end.get(), buffer, sizeof buffer, MSG_DONTWAIT);
            if (count > 0) {
                EXPECT_TRUE(parse.feed({buffer, static_cast<std::size_t>(count)}));
            }
            ended = ended || count == 0;
            return ended;
        });
        return found.frames;
    }
    // The goodbye that answers `bytes`.
    std::string farewell(const std::string& bytes, lane::goodbye_reason reason) {
        const unique_fd end = knock();
        test::write_fully(end, bytes);
        const auto said = all_said(end);
        if (said.empty() || said.back().type != lane::frame_type::goodbye) {
            ADD_FAILURE() << "no goodbye";
            return "";
        }
        const auto last = lane::decode<lane::goodbye>(said.back().payload);
        EXPECT_EQ(last->reason, reason);
        return std::string(last->text);
    }
    std::string protocol_error(const std::string& bytes) {
        return farewell(hello_frame() + bytes, lane::goodbye_reason::protocol_error);
    }
    template <class Message>
    static std::string frame(const Message& said, std::uint64_t stream = 0) {
        std::string out;
        lane::append(out, said, stream);
        return out;
    }
    static std::string header(std::uint32_t length, lane::frame_type type, std::uint64_t stream) {
        std::string out;
        lane::append(out, lane::frame_header{length, type, stream});
        return out;
    }
};

TEST_F(lane_peers, a_wrong_token_is_answered_with_the_remedy) {
    EXPECT_THAT(farewell(hello_frame("guess"), lane::goodbye_reason::wrong_token),
                HasSubstr("WORKER_TOKEN"));
    EXPECT_THAT(farewell(hello_frame(""), lane::goodbye_reason::wrong_token),
                HasSubstr("WORKER_TOKEN"));
    loop_.run_until([&] { return hub_->statistics().refused == 2; });
    EXPECT_EQ(hub_->lanes(), 0u);
}

TEST_F(lane_peers, another_version_is_answered_with_the_remedy) {
    EXPECT_THAT(farewell(frame(lane::hello{.version = 2, .token = token, .worker_id = "w"}),
                         lane::goodbye_reason::wrong_version),
                HasSubstr("install the same release of Hearth on both"));
}

TEST_F(lane_peers, a_worker_with_the_wrong_token_keeps_running_without_a_lane) {
    auto& worker = make_worker("worker-1", {.token = "guess"});
    attach(worker);
    loop_.run_until([&] { return worker.client.statistics().failed == 1; });
    EXPECT_FALSE(worker.client.connected());
}

TEST_F(lane_peers, what_comes_before_hello_or_twice_ends_the_lane) {
    EXPECT_THAT(farewell(frame(lane::credit{.window = 1}), lane::goodbye_reason::protocol_error),
                HasSubstr("before hello"));
    EXPECT_THAT(protocol_error(hello_frame()), HasSubstr("second hello"));
    EXPECT_THAT(farewell("GET / HTTP/1.1\r\nHost: x\r\n\r\n", lane::goodbye_reason::protocol_error),
                HasSubstr("unknown type"));
}

TEST_F(lane_peers, frames_beyond_their_limits_end_the_lane) {
    EXPECT_THAT(protocol_error(header(0xffff'ffff, lane::frame_type::data, 1)), HasSubstr("bytes"));
    EXPECT_THAT(protocol_error(header(5, lane::frame_type::credit, 0) + "12345"),
                HasSubstr("credit"));
    EXPECT_THAT(protocol_error(frame(lane::credit{.window = lane::credits_max + 1})),
                HasSubstr("credit"));
    EXPECT_THAT(protocol_error(header(2, lane::frame_type::report, 0) + "[]"), HasSubstr(""));
}

TEST_F(lane_peers, frames_of_streams_that_are_not_open_end_the_lane) {
    EXPECT_THAT(protocol_error(header(0, lane::frame_type::started, 9)), HasSubstr("not open"));
    EXPECT_THAT(protocol_error(frame(lane::end{}, 9)), HasSubstr("not open"));
    EXPECT_THAT(protocol_error(frame(lane::window{.bytes = 1}, 9)), HasSubstr("not open"));
    EXPECT_THAT(protocol_error(header(1, lane::frame_type::data, 9) + "x"),
                HasSubstr("without its head"));
}

// Each on a stream that is open, stream 1, whose call then goes the other way.
TEST_F(lane_peers, frames_out_of_place_end_the_lane) {
    const std::string started = header(0, lane::frame_type::started, 1);
    const std::string five = frame(lane::end{.section_bytes = {0, 5, 0, 0}}, 1);
    const std::string six = header(6, lane::frame_type::data, 1) + "123456";
    const std::string large = frame(
        lane::end{.section_bytes = {0, static_cast<std::uint32_t>(faas::payload_bytes_max), 0, 0}},
        1);
    std::string too_much;
    for (std::size_t sent = 0; sent < faas::payload_bytes_max; sent += lane::chunk_bytes_max) {
        too_much += header(lane::chunk_bytes_max, lane::frame_type::data, 1) +
                    std::string(lane::chunk_bytes_max, 'x');
    }
    const std::vector<std::pair<std::string, std::string>> cases{
        {started + started, "started twice"},
        {started + frame(lane::refused{.text = "no"}, 1), "refused after it started"},
        {five + started, "after the end"},
        {five + five, "after the end"},
        {five + six, "longer than was announced"},
        {header(1, lane::frame_type::data, 1) + "x", "without its head"},
        {frame(lane::window{.bytes = 1}, 1), "more than there is"},
    };
    for (const auto& [bytes, expected] : cases) {
        const unique_fd end = knock();
        test::write_fully(end, hello_frame() + frame(lane::credit{.window = 1}));
        loop_.run_until([&] { return hub_->scheduler().credits() == 1; });
        auto running = loop_.start(invoker_->invoke(call(), soon()));
        loop_.run_until([&] { return hub_->scheduler().credits_free() == 0; });
        test::write_fully(end, bytes);
        const auto said = all_said(end);
        ASSERT_EQ(said.back().type, lane::frame_type::goodbye) << expected;
        EXPECT_THAT(std::string(lane::decode<lane::goodbye>(said.back().payload)->text),
                    HasSubstr(expected));
        EXPECT_TRUE(running.get());
    }
}

TEST_F(lane_peers, a_body_beyond_its_window_ends_the_lane) {
    open_hub({.result_bytes_max = faas::payload_bytes_max});
    // The budget is taken by a first result that never comes; the second has no window.
    const unique_fd end = knock();
    test::write_fully(end, hello_frame() + frame(lane::credit{.window = 2}));
    loop_.run_until([&] { return hub_->scheduler().credits() == 2; });
    auto first = loop_.start(invoker_->invoke(call(), soon()));
    auto second = loop_.start(invoker_->invoke(call(), soon()));
    loop_.run_until([&] { return hub_->scheduler().credits_free() == 0; });
    const lane::end large{
        .section_bytes = {0, static_cast<std::uint32_t>(faas::payload_bytes_max), 0, 0}};
    test::write_fully(end, frame(large, 1) + frame(large, 2));
    std::string chunk = header(lane::chunk_bytes_max, lane::frame_type::data, 2) +
                        std::string(lane::chunk_bytes_max, 'x');
    std::string bytes;
    for (std::size_t sent = 0; sent <= lane::body_bytes_free; sent += lane::chunk_bytes_max) {
        bytes += chunk;
    }
    const int size = 4 << 20;
    ::setsockopt(end.get(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    test::write_fully(end, bytes);
    const auto said = all_said(end);
    EXPECT_THAT(std::string(lane::decode<lane::goodbye>(said.back().payload)->text),
                HasSubstr("window"));
    EXPECT_TRUE(first.get());
    EXPECT_TRUE(second.get());
}

TEST_F(lane_peers, a_flood_of_frames_does_not_keep_others_from_being_served) {
    auto& worker = add_worker("worker-1");
    const unique_fd end = knock();
    std::string flood = hello_frame();
    for (int i = 0; i < 5'000; ++i) {
        flood += frame(lane::warm{.idle = 1, .revision = 1, .function_id = concat("f-", i)});
    }
    ASSERT_LT(0, ::send(end.get(), flood.data(), flood.size(), MSG_DONTWAIT));
    int served = 0;
    while (served < 20) {
        ::send(end.get(), flood.data() + hello_frame().size(), 13 + 16 + 2, MSG_DONTWAIT);
        EXPECT_EQ(answer_of(invoke(call())), "null");
        ++served;
    }
    EXPECT_EQ(worker.invoker.job_ids.size(), 20u);
}

TEST_F(lane_peers, lanes_beyond_the_limit_are_told_so) {
    open_hub({.lanes_max = 1});
    add_worker("worker-1");
    EXPECT_THAT(farewell(hello_frame(), lane::goodbye_reason::limit), HasSubstr("1 lanes"));
    EXPECT_EQ(hub_->lanes(), 1u);
}

}  // namespace
}  // namespace hearth
