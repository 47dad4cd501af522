#include "http/multipart.h"

#include <vector>

#include <gtest/gtest.h>

namespace hearth::http {
namespace {

struct form_part {
    std::string name;
    std::string filename;  // "-" when there is none
    std::string content_type;
    std::string data;

    bool operator==(const form_part&) const = default;
};

struct form {
    std::vector<form_part> parts;
    bool finished = false;
    bool failed = false;
    errc failure = errc::internal;

    bool operator==(const form&) const = default;
};

void feed(multipart_parser& parser, std::string_view text, form& read) {
    std::span<const std::byte> input = std::as_bytes(std::span(text));
    while (!read.failed) {
        const auto event = parser.next(input);
        if (!event) {
            read.failed = true;
            read.failure = event.error().code;
            return;
        }
        switch (event->kind) {
            case multipart_parser::event_kind::part_begin:
                read.parts.push_back({parser.part().name, parser.part().filename.value_or("-"),
                                      parser.part().content_type, ""});
                break;
            case multipart_parser::event_kind::data:
                read.parts.back().data.append(reinterpret_cast<const char*>(event->data.data()),
                                              event->data.size());
                break;
            case multipart_parser::event_kind::part_end:
                break;
            case multipart_parser::event_kind::finished:
                read.finished = true;
                return;
            case multipart_parser::event_kind::need_input:
                return;
        }
    }
}

form read_form(std::string_view text, std::size_t split = 0, const multipart_limits& limits = {}) {
    multipart_parser parser("XyZ", limits);
    form read;
    feed(parser, text.substr(0, split), read);
    feed(parser, text.substr(split), read);
    return read;
}

std::string one_part(const std::string& headers, const std::string& data = "d") {
    return "--XyZ\r\n" + headers + "\r\n" + data + "\r\n--XyZ--\r\n";
}

const std::string two_parts =
    "--XyZ\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nline one\r\n\r\n--Xy\r\n-\r\n"
    "--XyZ\r\ncontent-type: text/x-python\r\nContent-Disposition: form-data; name=file; "
    "filename=\"C:\\dir\\a \\\"b\\\".py\"\r\n\r\nprint()\r\n--XyZ--\r\nepilogue";

TEST(multipart, gives_names_file_names_types_and_data) {
    const form read = read_form(two_parts);
    ASSERT_TRUE(read.finished);
    ASSERT_EQ(read.parts.size(), 2U);
    EXPECT_EQ(read.parts[0], (form_part{"text", "-", "", "line one\r\n\r\n--Xy\r\n-"}));
    EXPECT_EQ(read.parts[1], (form_part{"file", "a \"b\".py", "text/x-python", "print()"}));
}

TEST(multipart, reads_the_same_however_the_input_is_split) {
    const form whole = read_form(two_parts);
    for (std::size_t at = 0; at <= two_parts.size(); ++at) {
        EXPECT_EQ(read_form(two_parts, at), whole) << "split at " << at;
    }
    multipart_parser parser("XyZ");
    form read;
    for (const char& c : two_parts) {
        feed(parser, {&c, 1}, read);
    }
    EXPECT_EQ(read, whole);
}

TEST(multipart, keeps_data_that_resembles_the_delimiter) {
    for (const std::string data :
         {"\r\n--XyY", "\r\r\n--Xy", "\r\n\r\n", "--XyZ", "\n--XyZ", "\r\n-\r\n--Xy", "\r", ""}) {
        const std::string text = one_part("Content-Disposition: form-data; name=a\r\n", data);
        for (std::size_t at = 0; at <= text.size(); ++at) {
            const form read = read_form(text, at);
            ASSERT_TRUE(read.finished) << data;
            EXPECT_EQ(read.parts.at(0).data, data);
        }
    }
}

TEST(multipart, accepts_a_short_preamble_padding_and_no_parts) {
    EXPECT_TRUE(read_form("hello\r\n--XyZ \t\r\nContent-Disposition: form-data; name=a\r\n\r\n1"
                          "\r\n--XyZ--")
                    .finished);
    EXPECT_TRUE(read_form("--XyZ--").finished);
    EXPECT_TRUE(read_form("--XyZ--").parts.empty());
}

TEST(multipart, is_not_finished_when_it_is_cut_off) {
    const std::string text = one_part("Content-Disposition: form-data; name=a\r\n");
    for (std::size_t size = 0; size < text.size() - 2; ++size) {
        const form read = read_form(text.substr(0, size));
        EXPECT_FALSE(read.finished) << size;
        EXPECT_FALSE(read.failed) << size;
    }
}

TEST(multipart, refuses_what_readers_understand_differently) {
    for (const std::string& text : {
             one_part(""),
             one_part("Content-Disposition: attachment; name=a\r\n"),
             one_part("Content-Disposition: form-data\r\n"),
             one_part("Content-Disposition: form-data; name=\"a\r\n"),
             one_part("Content-Disposition: form-data; name=\"a\" filename=b\r\n"),
             one_part("Content-Disposition: form-data; name=a; name=b\r\n"),
             one_part("Content-Disposition: form-data; name=a; filename=b; filename=c\r\n"),
             one_part("Content-Disposition: form-data; name=\"a\x01\"\r\n"),
             one_part("Content-Disposition: form-data; name=\"\xff\"\r\n"),
             one_part("Content-Disposition: form-data; name=a\r\n"
                      "Content-Disposition: form-data; name=b\r\n"),
             one_part("Content-Disposition: form-data;\r\n name=a\r\n"),
             one_part("Content-Disposition : form-data; name=a\r\n"),
             one_part("Content-Disposition: form-data; name=a\n"),
             one_part("Content-Disposition: form-data; name=a\r\nno colon\r\n"),
             one_part("Content-Disposition: form-data; name=a\r\n"
                      "Content-Transfer-Encoding: base64\r\n"),
             std::string("--XyZ\n\r\n"),
             std::string("--XyZx\r\n"),
             std::string("--XyZ-x"),
             std::string("--XyZ\rx"),
             std::string(2000, 'p'),
         }) {
        const form read = read_form(text);
        EXPECT_TRUE(read.failed) << text;
        EXPECT_EQ(read.failure, errc::invalid_argument) << text;
    }
}

TEST(multipart, ignores_the_extended_file_name) {
    const form read = read_form(one_part(
        "Content-Disposition: form-data; name=a; filename=plain.py; filename*=UTF-8''evil.py\r\n"));
    ASSERT_TRUE(read.finished);
    EXPECT_EQ(read.parts.at(0).filename, "plain.py");
}

TEST(multipart, holds_its_limits) {
    const std::string field = "Content-Disposition: form-data; name=a\r\n";
    const std::string file = "Content-Disposition: form-data; name=a; filename=b\r\n";
    const auto failure = [](const std::string& text, const multipart_limits& limits) {
        const form read = read_form(text, 0, limits);
        return read.failed ? read.failure : errc::internal;
    };
    EXPECT_TRUE(read_form(one_part(field, "12345"), 0, {.field_bytes_max = 5}).finished);
    EXPECT_EQ(failure(one_part(field, "123456"), {.field_bytes_max = 5}), errc::too_large);
    EXPECT_TRUE(read_form(one_part(file, "123456"), 0, {.field_bytes_max = 5}).finished);
    EXPECT_EQ(failure(one_part(field), {.part_header_bytes_max = field.size() + 1}),
              errc::too_large);
    EXPECT_EQ(failure(one_part(field + "A: 1\r\n"), {.part_headers_max = 1}), errc::too_large);
    EXPECT_EQ(failure(one_part(field), {.parts_max = 0}), errc::too_large);
}

TEST(multipart_boundary, is_taken_from_the_content_type) {
    EXPECT_EQ(boundary_of("multipart/form-data; boundary=abc").value(), "abc");
    EXPECT_EQ(boundary_of("Multipart/Form-Data;charset=utf-8;Boundary=\"a b:c\"").value(), "a b:c");
    EXPECT_EQ(boundary_of("multipart/form-data; boundary=" + std::string(70, 'x')).value().size(),
              70U);
}

TEST(multipart_boundary, is_refused_when_it_is_malformed) {
    for (const std::string& text :
         {std::string(""), std::string("application/json"), std::string("multipart/form-data"),
          std::string("multipart/mixed; boundary=a"), std::string("multipart/form-data; boundary="),
          std::string("multipart/form-data; boundary=\"\""),
          std::string("multipart/form-data; boundary=\"a"),
          std::string("multipart/form-data; boundary=\"a \""),
          std::string("multipart/form-data; boundary=a{b"),
          std::string("multipart/form-data; boundary=a; boundary=b"),
          "multipart/form-data; boundary=" + std::string(71, 'x')}) {
        EXPECT_FALSE(boundary_of(text)) << text;
    }
}

}  // namespace
}  // namespace hearth::http
