#include "sandbox/frame.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace hearth::sandbox {
namespace {

frame_header_bytes header_bytes(frame_type type, std::uint32_t length) {
    return encode_frame_header(
        {.payload_length = length, .type = type, .nonce = 0x1122334455667788});
}

TEST(frame, a_header_is_sixteen_bytes_little_endian) {
    const auto bytes = header_bytes(frame_type::result, 0x00010203);
    const frame_header_bytes expected{
        std::byte{3},    std::byte{2},    std::byte{1},    std::byte{0},
        std::byte{5},    std::byte{0},    std::byte{0},    std::byte{0},
        std::byte{0x88}, std::byte{0x77}, std::byte{0x66}, std::byte{0x55},
        std::byte{0x44}, std::byte{0x33}, std::byte{0x22}, std::byte{0x11}};
    EXPECT_EQ(bytes, expected);
    const auto decoded = decode_answer_header(bytes);
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(decoded->payload_length, 0x00010203U);
    EXPECT_EQ(decoded->nonce, 0x1122334455667788U);
}

TEST(frame, each_side_accepts_only_the_types_of_the_other) {
    for (unsigned type = 0; type < 256; ++type) {
        const auto bytes = header_bytes(frame_type{static_cast<std::uint8_t>(type)}, 0);
        EXPECT_EQ(decode_answer_header(bytes).has_value(), type >= 3 && type <= 6) << type;
        EXPECT_EQ(decode_command_header(bytes).has_value(), type == 1 || type == 2) << type;
    }
}

TEST(frame, a_length_is_refused_above_its_types_limit) {
    const auto accepts = [](frame_type type, std::size_t length) {
        return decode_answer_header(header_bytes(type, static_cast<std::uint32_t>(length)))
            .has_value();
    };
    EXPECT_TRUE(accepts(frame_type::result, result_bytes_max));
    EXPECT_FALSE(accepts(frame_type::result, result_bytes_max + 1));
    EXPECT_FALSE(accepts(frame_type::result, 0xffff'ffff));
    EXPECT_TRUE(accepts(frame_type::error, error_bytes_max));
    EXPECT_FALSE(accepts(frame_type::error, error_bytes_max + 1));
    EXPECT_FALSE(accepts(frame_type::ready, ready_bytes_max + 1));
}

TEST(frame, reserved_bits_and_short_headers_are_refused) {
    const auto good = header_bytes(frame_type::result, 1);
    for (const std::size_t at : {5U, 6U, 7U}) {
        auto bad = good;
        bad[at] = std::byte{1};
        EXPECT_FALSE(decode_answer_header(bad).has_value()) << at;
    }
    for (std::size_t size = 0; size < good.size(); ++size) {
        EXPECT_FALSE(decode_answer_header(std::span(good).first(size)).has_value());
    }
}

TEST(frame, an_invoke_frame_carries_deadline_request_id_and_event) {
    const auto head = encode_invoke_head(9, 1'700'000'000'123, "abc", 4);
    ASSERT_TRUE(head.has_value());
    const std::string frame = *head + "null";
    const auto header = decode_command_header(std::as_bytes(std::span(frame)));
    ASSERT_TRUE(header.has_value());
    EXPECT_EQ(header->payload_length, frame.size() - frame_header_size);
    const auto payload = decode_invoke_payload(std::string_view(frame).substr(frame_header_size));
    ASSERT_TRUE(payload.has_value());
    EXPECT_EQ(payload->deadline, 1'700'000'000'123);
    EXPECT_EQ(payload->request_id, "abc");
    EXPECT_EQ(payload->event, "null");
}

TEST(frame, an_invoke_frame_is_refused_above_its_limits) {
    EXPECT_TRUE(encode_invoke_head(1, 0, std::string(64, 'r'), event_bytes_max).has_value());
    EXPECT_FALSE(encode_invoke_head(1, 0, std::string(65, 'r'), 0).has_value());
    EXPECT_FALSE(encode_invoke_head(1, 0, "r", event_bytes_max + 1).has_value());
    EXPECT_FALSE(decode_invoke_payload("short").has_value());
    EXPECT_FALSE(decode_invoke_payload(std::string(8, '\0') + "\x05\x00" + "abc").has_value());
}

TEST(frame, an_init_frame_is_json_with_the_environment_unchanged) {
    init_parameters parameters{.handlers = {"main.handler"}, .function_name = "f\"n"};
    parameters.environment = {{"A", "line\nbreak"}};
    const auto frame = encode_init_frame(3, parameters);
    ASSERT_TRUE(frame.has_value());
    const auto parsed = json::document::parse(std::string_view(*frame).substr(frame_header_size));
    ASSERT_TRUE(parsed.has_value());
    std::string_view value;
    ASSERT_EQ(parsed->root()["env"]["A"].get(value), simdjson::SUCCESS);
    EXPECT_EQ(value, "line\nbreak");
}

TEST(frame, an_init_frame_needs_a_handler_and_a_bounded_environment) {
    init_parameters parameters;
    EXPECT_FALSE(encode_init_frame(1, parameters).has_value());
    parameters.handlers = {"main.handler"};
    parameters.environment = {{"A", std::string(environment_bytes_max - 1, 'x')}};
    EXPECT_TRUE(encode_init_frame(1, parameters).has_value());
    parameters.environment = {{"A", std::string(environment_bytes_max, 'x')}};
    EXPECT_FALSE(encode_init_frame(1, parameters).has_value());
    parameters.environment.clear();
    parameters.handlers.assign(handlers_max + 1, "main.handler");
    EXPECT_FALSE(encode_init_frame(1, parameters).has_value());
}

}  // namespace
}  // namespace hearth::sandbox
