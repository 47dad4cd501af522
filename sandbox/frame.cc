#include "sandbox/frame.h"

#include <bit>
#include <cstring>

#include "base/concat.h"
#include "base/json.h"

namespace hearth::sandbox {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::size_t type_offset = 4;
constexpr std::size_t flags_offset = 5;
constexpr std::size_t reserved_offset = 6;
constexpr std::size_t nonce_offset = 8;

template <class T>
T load(const std::byte* from) noexcept {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <class T>
void store(std::byte* to, T value) noexcept {
    std::memcpy(to, &value, sizeof value);
}

result<frame_header> decode(std::span<const std::byte> bytes) {
    if (bytes.size() < frame_header_size) {
        return fail(errc::protocol, "a frame header that is cut short");
    }
    const frame_header header{.payload_length = load<std::uint32_t>(bytes.data()),
                              .type = frame_type{load<std::uint8_t>(bytes.data() + type_offset)},
                              .nonce = load<std::uint64_t>(bytes.data() + nonce_offset)};
    const auto flags = load<std::uint8_t>(bytes.data() + flags_offset);
    const auto reserved = load<std::uint16_t>(bytes.data() + reserved_offset);
    if (flags != 0 || reserved != 0) {
        return fail(errc::protocol, "a frame with reserved bits set");
    }
    if (header.payload_length > payload_bytes_max(header.type)) {
        return fail(errc::too_large, concat("a frame of type ", static_cast<unsigned>(header.type),
                                            " with ", header.payload_length, " bytes"));
    }
    return header;
}

std::string to_string(const frame_header_bytes& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string to_json(const init_parameters& parameters) {
    json::writer out;
    out.begin_object();
    out.key("handlers");
    out.begin_array();
    for (const std::string& handler : parameters.handlers) {
        out.string(handler);
    }
    out.end_array();
    out.member("functionName", parameters.function_name);
    out.member("functionVersion", parameters.function_version);
    out.member("functionArn", parameters.function_arn);
    out.member("memoryMb", parameters.memory_mb);
    out.member("logGroupName", parameters.log_group_name);
    out.member("logStreamName", parameters.log_stream_name);
    out.key("env");
    out.begin_object();
    for (const auto& [name, value] : parameters.environment) {
        out.member(name, value);
    }
    out.end_object();
    out.end_object();
    return std::move(out).take();
}

}  // namespace

std::size_t payload_bytes_max(frame_type type) noexcept {
    switch (type) {
        case frame_type::init:
            return init_bytes_max;
        case frame_type::invoke:
            return invoke_prefix_size + request_id_bytes_max + event_bytes_max;
        case frame_type::ready:
            return ready_bytes_max;
        case frame_type::init_error:
        case frame_type::error:
            return error_bytes_max;
        case frame_type::result:
            return result_bytes_max;
    }
    return 0;
}

frame_header_bytes encode_frame_header(const frame_header& header) noexcept {
    frame_header_bytes bytes{};
    store(bytes.data(), header.payload_length);
    store(bytes.data() + type_offset, static_cast<std::uint8_t>(header.type));
    store(bytes.data() + nonce_offset, header.nonce);
    return bytes;
}

result<frame_header> decode_answer_header(std::span<const std::byte> bytes) {
    auto header = decode(bytes);
    if (header && (header->type < frame_type::ready || header->type > frame_type::error)) {
        return fail(errc::protocol,
                    concat("an answer of type ", static_cast<unsigned>(header->type)));
    }
    return header;
}

result<frame_header> decode_command_header(std::span<const std::byte> bytes) {
    auto header = decode(bytes);
    if (header && header->type != frame_type::init && header->type != frame_type::invoke) {
        return fail(errc::protocol,
                    concat("a command of type ", static_cast<unsigned>(header->type)));
    }
    return header;
}

result<std::string> encode_init_frame(std::uint64_t nonce, const init_parameters& parameters) {
    if (parameters.handlers.empty() || parameters.handlers.size() > handlers_max) {
        return fail(errc::invalid_argument,
                    concat("an init frame needs 1 to ", handlers_max, " handlers"));
    }
    std::size_t environment_bytes = 0;
    for (const auto& [name, value] : parameters.environment) {
        environment_bytes += name.size() + value.size();
    }
    if (environment_bytes > environment_bytes_max) {
        return fail(errc::too_large, concat("the environment has ", environment_bytes,
                                            " bytes, at most ", environment_bytes_max));
    }
    const std::string text = to_json(parameters);
    if (text.size() > init_bytes_max) {
        return fail(errc::too_large,
                    concat("the init frame has ", text.size(), " bytes, at most ", init_bytes_max));
    }
    return to_string(encode_frame_header({.payload_length = static_cast<std::uint32_t>(text.size()),
                                          .type = frame_type::init,
                                          .nonce = nonce})) +
           text;
}

result<std::string> encode_invoke_head(std::uint64_t nonce, epoch_ms deadline,
                                       std::string_view request_id, std::size_t event_bytes) {
    if (request_id.size() > request_id_bytes_max) {
        return fail(errc::invalid_argument, concat("a request id of ", request_id.size(),
                                                   " bytes, at most ", request_id_bytes_max));
    }
    if (event_bytes > event_bytes_max) {
        return fail(errc::too_large,
                    concat("an event of ", event_bytes, " bytes, at most ", event_bytes_max));
    }
    const std::size_t length = invoke_prefix_size + request_id.size() + event_bytes;
    std::string head =
        to_string(encode_frame_header({.payload_length = static_cast<std::uint32_t>(length),
                                       .type = frame_type::invoke,
                                       .nonce = nonce}));
    std::array<std::byte, invoke_prefix_size> prefix{};
    store(prefix.data(), static_cast<std::uint64_t>(deadline));
    store(prefix.data() + sizeof(std::uint64_t), static_cast<std::uint16_t>(request_id.size()));
    head.append(reinterpret_cast<const char*>(prefix.data()), prefix.size());
    head.append(request_id);
    return head;
}

result<invoke_payload> decode_invoke_payload(std::string_view payload) {
    if (payload.size() < invoke_prefix_size) {
        return fail(errc::protocol, "an invoke frame that is cut short");
    }
    const auto* bytes = reinterpret_cast<const std::byte*>(payload.data());
    const auto deadline = load<std::uint64_t>(bytes);
    const std::size_t id_size = load<std::uint16_t>(bytes + sizeof deadline);
    payload.remove_prefix(invoke_prefix_size);
    if (id_size > request_id_bytes_max || id_size > payload.size()) {
        return fail(errc::protocol, "an invoke frame with a bad request id");
    }
    return invoke_payload{.deadline = static_cast<epoch_ms>(deadline),
                          .request_id = payload.substr(0, id_size),
                          .event = payload.substr(id_size)};
}

}  // namespace hearth::sandbox
