#include "lane/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lane/messages.h"
#include "tests/unit/lane/recorded_frames.h"

namespace hearth::lane {
namespace {

using testing::HasSubstr;

std::string header(std::uint32_t length, frame_type type, std::uint64_t stream) {
    std::string out;
    append(out, frame_header{length, type, stream});
    return out;
}

error error_of(const std::string& bytes, side sender) {
    recorded_frames found;
    auto fed = parser(sender, found).feed(bytes);
    return fed ? error{} : fed.error();
}

// One of each kind: with and without a payload, data, small and larger than most.
std::string worker_frames() {
    std::string out;
    append(out, hello{.token = "secret", .worker_id = "worker-1"});
    append(out, credit{.window = 8});
    append(out, frame_header{0, frame_type::started, 1});
    append(out, end{.section_bytes = {0, 5, 0, 0}, .error_type = ""}, 1);
    append(out, frame_header{5, frame_type::data, 1});
    out += "\"abc\"";
    append(out, refused{.text = "busy"}, 2);
    return out;
}

TEST(lane_parser, finds_the_same_frames_wherever_the_bytes_are_split) {
    const std::string bytes = worker_frames();
    recorded_frames whole;
    ASSERT_TRUE(parser(side::worker, whole).feed(bytes));
    ASSERT_EQ(whole.frames.size(), 6u);
    for (std::size_t at = 0; at <= bytes.size(); ++at) {
        recorded_frames found;
        parser cut(side::worker, found);
        ASSERT_TRUE(cut.feed(std::string_view(bytes).substr(0, at)));
        ASSERT_TRUE(cut.feed(std::string_view(bytes).substr(at)));
        EXPECT_EQ(found.frames, whole.frames) << at;
        EXPECT_TRUE(cut.between_frames());
    }
}

TEST(lane_parser, finds_the_same_frames_byte_by_byte) {
    const std::string bytes = worker_frames();
    recorded_frames whole;
    ASSERT_TRUE(parser(side::worker, whole).feed(bytes));
    recorded_frames found;
    parser slow(side::worker, found);
    for (const char& each : bytes) {
        ASSERT_TRUE(slow.feed({&each, 1}));
    }
    EXPECT_EQ(found.frames, whole.frames);
}

TEST(lane_parser, knows_when_it_is_amid_a_frame) {
    recorded_frames found;
    parser cut(side::worker, found);
    EXPECT_TRUE(cut.between_frames());
    ASSERT_TRUE(cut.feed(header(4, frame_type::credit, 0).substr(0, 3)));
    EXPECT_FALSE(cut.between_frames());
    ASSERT_TRUE(cut.feed(header(4, frame_type::credit, 0).substr(3)));
    EXPECT_FALSE(cut.between_frames());
}

TEST(lane_parser, hands_a_payload_on_where_it_lies) {
    class pointing final : public frame_sink {
    public:
        result<> on_frame(const frame_header&, std::string_view payload) override {
            at = payload.data();
            return {};
        }
        result<> on_data(std::uint64_t, std::string_view piece) override {
            at = piece.data();
            return {};
        }
        const char* at = nullptr;
    };
    pointing where;
    parser direct(side::worker, where);
    std::string bytes;
    append(bytes, credit{.window = 1});
    ASSERT_TRUE(direct.feed(bytes));
    EXPECT_EQ(where.at, bytes.data() + header_bytes);
    const std::string data = header(3, frame_type::data, 1) + "abc";
    ASSERT_TRUE(direct.feed(data));
    EXPECT_EQ(where.at, data.data() + header_bytes);
}

TEST(lane_parser, refuses_a_header_out_of_range) {
    EXPECT_THAT(error_of(header(0, static_cast<frame_type>(0), 0), side::worker).message,
                HasSubstr("unknown type 0"));
    EXPECT_THAT(error_of(header(0, static_cast<frame_type>(17), 0), side::worker).message,
                HasSubstr("unknown type 17"));
    for (const std::size_t at : {5u, 6u, 7u}) {
        std::string reserved = header(4, frame_type::credit, 0);
        reserved[at] = 1;
        EXPECT_THAT(error_of(reserved, side::worker).message, HasSubstr("reserved"));
    }
    EXPECT_THAT(error_of(header(4, frame_type::credit, 1), side::worker).message,
                HasSubstr("on stream 1"));
    EXPECT_THAT(error_of(header(0, frame_type::started, 0), side::worker).message,
                HasSubstr("on stream 0"));
}

TEST(lane_parser, refuses_each_type_from_the_side_that_never_sends_it) {
    using enum frame_type;
    for (const auto type : {hello, report, credit, warm, started, end, refused}) {
        EXPECT_THAT(error_of(header(4, type, 0), side::controller).message,
                    HasSubstr("wrong side"));
    }
    for (const auto type : {welcome, heard, define, retire, invoke, cancel}) {
        EXPECT_THAT(error_of(header(4, type, 0), side::worker).message, HasSubstr("wrong side"));
    }
}

TEST(lane_parser, takes_the_longest_frame_of_each_type_and_none_that_is_longer) {
    for (int i = 1; i <= static_cast<int>(frame_type_last); ++i) {
        const auto type = static_cast<frame_type>(i);
        const auto longest = static_cast<std::uint32_t>(payload_bytes_max(type));
        for (const auto sender : {side::worker, side::controller}) {
            for (const std::uint64_t stream : {0, 1}) {
                const auto refusal = error_of(header(longest, type, stream), sender).message;
                const auto beyond = error_of(header(longest + 1, type, stream), sender).message;
                if (refusal.empty()) {
                    EXPECT_THAT(beyond, HasSubstr(" bytes"));
                } else {
                    EXPECT_FALSE(beyond.empty());
                }
            }
        }
    }
    EXPECT_THAT(error_of(header(0, frame_type::data, 1), side::worker).message,
                HasSubstr("0 bytes"));
}

TEST(lane_parser, stops_at_the_first_error_of_whom_it_tells) {
    class refusing final : public frame_sink {
    public:
        result<> on_frame(const frame_header&, std::string_view) override {
            ++frames;
            return fail(errc::protocol, "no");
        }
        result<> on_data(std::uint64_t, std::string_view) override { return {}; }
        int frames = 0;
    };
    refusing told;
    EXPECT_EQ(parser(side::worker, told).feed(worker_frames()).error().message, "no");
    EXPECT_EQ(told.frames, 1);
}

}  // namespace
}  // namespace hearth::lane
