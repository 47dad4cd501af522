#include "lane/messages.h"

#include <limits>

#include <gtest/gtest.h>

#include "lane/bytes.h"

namespace hearth::lane {
namespace {

// The payload of a whole frame.
template <class Message>
std::string payload_of(const Message& said) {
    std::string out;
    append(out, said, 7);
    return out.substr(header_bytes);
}

template <class Message>
bool is_refused(const std::string& payload) {
    const auto decoded = decode<Message>(payload);
    return !decoded && decoded.error().code == errc::protocol;
}

// Every proper beginning of the payload, and the payload with one byte more.
template <class Message>
void expect_exact_length(const Message& said) {
    const std::string whole = payload_of(said);
    EXPECT_TRUE(decode<Message>(whole));
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_TRUE(is_refused<Message>(whole.substr(0, size))) << size;
    }
    EXPECT_TRUE(is_refused<Message>(whole + '\0'));
}

TEST(lane_messages, a_header_is_the_bytes_that_the_protocol_page_says) {
    std::string out;
    append(out, frame_header{0x01020304, frame_type::data, 0x1122334455667788});
    EXPECT_EQ(out, std::string("\x04\x03\x02\x01\x0b\x00\x00\x00\x88\x77\x66\x55\x44\x33\x22\x11",
                               header_bytes));
}

TEST(lane_messages, a_frame_has_the_length_of_its_payload) {
    std::string out = "before";
    append(out, credit{.window = 3});
    const auto header = decode_header(std::string_view(out).substr(6, header_bytes), side::worker);
    ASSERT_TRUE(header);
    EXPECT_EQ(*header, (frame_header{4, frame_type::credit, 0}));
}

TEST(lane_messages, a_hello_says_who_comes) {
    const auto text = payload_of(hello{.token = "secret", .worker_id = "worker-1"});
    const auto said = decode<hello>(text);
    ASSERT_TRUE(said);
    EXPECT_EQ(said->token, "secret");
    EXPECT_EQ(said->worker_id, "worker-1");
    EXPECT_TRUE(is_refused<hello>(payload_of(hello{.token = "t", .worker_id = "a b"})));
    EXPECT_TRUE(is_refused<hello>(payload_of(hello{.token = "t", .worker_id = ""})));
    EXPECT_TRUE(is_refused<hello>("HTTP/1.1 400 Bad Request"));
    expect_exact_length(hello{.token = "t", .worker_id = "w"});
}

TEST(lane_messages, a_hello_of_another_version_is_read_as_far_as_the_version) {
    const auto said = decode<hello>(payload_of(hello{.version = 9}).substr(0, 6));
    ASSERT_TRUE(said);
    EXPECT_EQ(said->version, 9);
}

TEST(lane_messages, an_invocation_comes_back_as_it_was) {
    const auto text = payload_of(invoke{
        .slot = 5, .event_bytes = 1'000, .wait_ms = 20, .job_id = "job", .request_id = "request"});
    const auto said = decode<invoke>(text);
    ASSERT_TRUE(said);
    EXPECT_EQ(said->slot, 5u);
    EXPECT_EQ(said->event_bytes, 1'000u);
    EXPECT_EQ(said->wait_ms, 20u);
    EXPECT_EQ(said->job_id, "job");
    EXPECT_EQ(said->request_id, "request");
}

TEST(lane_messages, an_invocation_keeps_its_limits) {
    invoke said{.job_id = "job", .request_id = "request"};
    expect_exact_length(said);
    said.event_bytes = faas::payload_bytes_max;
    EXPECT_TRUE(decode<invoke>(payload_of(said)));
    said.event_bytes = faas::payload_bytes_max + 1;
    EXPECT_TRUE(is_refused<invoke>(payload_of(said)));
    said = {.slot = definitions_max, .job_id = "job", .request_id = "request"};
    EXPECT_TRUE(is_refused<invoke>(payload_of(said)));
    said = {.job_id = "../job", .request_id = "request"};
    EXPECT_TRUE(is_refused<invoke>(payload_of(said)));
}

TEST(lane_messages, an_outcome_comes_back_but_for_its_texts) {
    faas::outcome was;
    was.status = faas::invocation_status::failed;
    was.error_type = "Runtime.Crashed";
    was.error_message = "signal 11";
    was.logs = "line";
    was.duration_ms = 1.25;
    was.cpu_ms = 0.5;
    was.init_ms = 20;
    was.cold_start = true;
    was.not_started = true;
    was.memory_mb_peak = 37;
    was.failure = faas::failure_kind::crash;
    const auto text = payload_of(head_of(was, 4));
    const auto head = decode<end>(text);
    ASSERT_TRUE(head);
    EXPECT_EQ(head->idle, 4u);
    EXPECT_EQ(head->section_bytes, (std::array<std::uint32_t, 4>{9, 0, 2, 4}));
    const auto is = outcome_of(*head);
    EXPECT_EQ(is.status, was.status);
    EXPECT_EQ(is.error_type, was.error_type);
    EXPECT_EQ(is.duration_ms, was.duration_ms);
    EXPECT_EQ(is.cpu_ms, was.cpu_ms);
    EXPECT_EQ(is.init_ms, was.init_ms);
    EXPECT_EQ(is.cold_start, was.cold_start);
    EXPECT_EQ(is.not_started, was.not_started);
    EXPECT_EQ(is.memory_mb_peak, was.memory_mb_peak);
    EXPECT_EQ(is.failure, was.failure);
}

TEST(lane_messages, an_end_keeps_its_limits) {
    expect_exact_length(end{.error_type = "E"});
    for (std::size_t i = 0; i < end_sections; ++i) {
        end said;
        said.section_bytes[i] = static_cast<std::uint32_t>(end_section_bytes_max[i]);
        EXPECT_TRUE(decode<end>(payload_of(said)));
        ++said.section_bytes[i];
        EXPECT_TRUE(is_refused<end>(payload_of(said)));
    }
    EXPECT_TRUE(is_refused<end>(payload_of(end{.failure = static_cast<faas::failure_kind>(99)})));
    EXPECT_TRUE(
        is_refused<end>(payload_of(end{.duration_ms = std::numeric_limits<double>::quiet_NaN()})));
    EXPECT_TRUE(is_refused<end>(payload_of(end{.cpu_ms = -1})));
    EXPECT_TRUE(is_refused<end>(payload_of(end{.memory_mb_peak = -1})));
}

TEST(lane_messages, numbers_out_of_range_are_refused) {
    EXPECT_TRUE(decode<credit>(payload_of(credit{.window = credits_max})));
    EXPECT_TRUE(is_refused<credit>(payload_of(credit{.window = credits_max + 1})));
    EXPECT_TRUE(is_refused<window>(payload_of(window{.bytes = 0})));
    EXPECT_TRUE(is_refused<welcome>(payload_of(welcome{.report_interval_ms = 0})));
    EXPECT_TRUE(is_refused<warm>(payload_of(warm{.revision = 0, .function_id = "f"})));
    EXPECT_TRUE(is_refused<retire>(payload_of(retire{.current_revision = -1, .function_id = "f"})));
    EXPECT_TRUE(is_refused<define>(payload_of(define{.slot = definitions_max, .function = "{}"})));
    EXPECT_TRUE(is_refused<goodbye>(payload_of(goodbye{.reason = static_cast<goodbye_reason>(7)})));
    EXPECT_TRUE(is_refused<refused>(payload_of(refused{.reason = static_cast<refusal_reason>(0)})));
}

TEST(lane_messages, a_text_over_its_limit_is_cut_between_characters) {
    std::string text(text_bytes_max - 1, 'x');
    text += "ä";  // two bytes, over the limit by one
    const auto payload = payload_of(refused{.text = text});
    EXPECT_EQ(decode<refused>(payload)->text, std::string(text_bytes_max - 1, 'x'));
}

TEST(lane_messages, errors_of_an_invoker_keep_their_kind) {
    for (const errc code : {errc::limit_exceeded, errc::unavailable, errc::deadline_exceeded,
                            errc::cancelled, errc::internal}) {
        EXPECT_EQ(code_of(reason_of(code)), code);
    }
}

}  // namespace
}  // namespace hearth::lane
