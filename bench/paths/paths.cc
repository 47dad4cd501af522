#include "bench/paths/paths.h"

#include <array>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/concat.h"
#include "base/json.h"
#include "ctrl/json_views.h"
#include "http/body_decoder.h"
#include "http/parser.h"
#include "lane/messages.h"
#include "lane/parser.h"
#include "sandbox/frame.h"

namespace hearth::bench {
namespace {

constexpr std::string_view function_id = "01a1f9e6-9572-76ac-a7ac-79fed727f4ce";
constexpr std::string_view event = R"({"name":"Ada"})";
constexpr epoch_ms some_time = 1'700'000'000'000;
constexpr std::size_t large_bytes = 10'000;

const std::string& run_body() {
    static const std::string text =
        concat(R"({"functionId":")", function_id, R"(","inputData":)", event, '}');
    return text;
}

// As a client library sends it.
const std::string& run_request() {
    static const std::string text = concat(
        "POST /run HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: client/1.0\r\n"
        "Accept: */*\r\nx-api-key: 0123456789abcdef0123456789abcdef\r\n"
        "Content-Type: application/json\r\nContent-Length: ",
        run_body().size(), "\r\n\r\n", run_body());
    return text;
}

// Numbers, text with escapes, and nesting, as payloads have them.
const std::string& large_json() {
    static const std::string text = [] {
        std::string made = "[";
        while (made.size() < large_bytes) {
            made += concat(made.size() > 1 ? "," : "", R"({"id":)", made.size(),
                           R"(,"name":"a \"name\"","tags":["x","y"],"ok":true,"at":1.5e3})");
        }
        return made + "]";
    }();
    return text;
}

std::uint64_t read_request() {
    static http::head_parser parser;
    static http::body_decoder body;
    parser.reset();
    auto input = std::as_bytes(std::span(run_request()));
    HEARTH_CHECK(parser.feed(input) == http::head_parser::status::complete, "a good request");
    std::uint64_t bytes = parser.head().target.size();
    for (auto state = body.begin(parser.head());
         state == http::body_decoder::status::data || !body.complete();) {
        std::span<const std::byte> data;
        state = body.next(input, data);
        bytes += data.size();
    }
    return bytes;
}

std::uint64_t read_run_body() {
    std::uint64_t members = 0;
    const auto read =
        json::scan_object(run_body(), [&](std::string_view name, std::string_view raw) {
            members += name == "functionId" ? json::unescape_string(raw)->size() : raw.size();
        });
    HEARTH_CHECK(read.has_value(), "a good body");
    return members;
}

std::uint64_t check_payload() {
    return json::validate(large_json()).has_value() ? 1 : 0;
}

std::uint64_t write_answer() {
    static const std::string id(function_id);
    faas::outcome end;
    end.status = faas::invocation_status::succeeded;
    end.result_json = R"({"message":"Hello, Ada!"})";
    end.logs = "one line\n";
    end.duration_ms = 0.05;
    end.memory_mb_peak = 9;
    return ctrl::run_response(id, id, id, std::move(end)).body_size();
}

std::uint64_t write_frame() {
    return sandbox::encode_invoke_head(1, some_time, function_id, event.size())->size();
}

std::uint64_t read_frame() {
    static const auto bytes = sandbox::encode_frame_header(
        {.payload_length = 25, .type = sandbox::frame_type::result, .nonce = 7});
    return sandbox::decode_answer_header(bytes)->nonce;
}

// Takes frames as the worker's end of a lane does, and forgets them.
class counting_sink final : public lane::frame_sink {
public:
    result<> on_frame(const lane::frame_header& header, std::string_view payload) override {
        if (header.type == lane::frame_type::invoke) {
            bytes += lane::decode<lane::invoke>(payload)->job_id.size();
        }
        return {};
    }
    result<> on_data(std::uint64_t, std::string_view piece) override {
        bytes += piece.size();
        return {};
    }
    std::uint64_t bytes = 0;
};

void append_data(std::string& out, std::string_view body) {
    lane::append(out, lane::frame_header{static_cast<std::uint32_t>(body.size()),
                                         lane::frame_type::data, 1});
    out += body;
}

// A call and its event.
void append_call(std::string& out) {
    lane::append(out,
                 lane::invoke{.slot = 1,
                              .event_bytes = static_cast<std::uint32_t>(event.size()),
                              .job_id = function_id,
                              .request_id = function_id},
                 1);
    append_data(out, event);
}

// A call's frames in both directions, written: the call and its event, the end and its result.
std::uint64_t write_lane_frames() {
    std::string out;
    append_call(out);
    lane::append(out, lane::end{.succeeded = true, .section_bytes = {0, 15, 0, 0}}, 1);
    append_data(out, event);
    return out.size();
}

// The call as the worker reads it.
std::uint64_t read_lane_frames() {
    static const std::string frames = [] {
        std::string out;
        append_call(out);
        return out;
    }();
    counting_sink sink;
    lane::parser reading(lane::side::controller, sink);
    HEARTH_CHECK(reading.feed(frames).has_value(), "good frames");
    return sink.bytes;
}

}  // namespace

std::span<const path> all_paths() {
    static const std::array paths{
        path{.name = "http_request", .run = read_request},
        path{.name = "json_run_body", .run = read_run_body},
        path{.name = "json_payload_10kb", .run = check_payload},
        path{.name = "json_run_answer", .run = write_answer},
        path{.name = "frame_invoke", .run = write_frame},
        path{.name = "frame_answer", .run = read_frame},
        path{.name = "lane_write", .run = write_lane_frames},
        path{.name = "lane_read", .run = read_lane_frames},
    };
    return paths;
}

}  // namespace hearth::bench
