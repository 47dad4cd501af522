#include "tests/unit/http/corpus.h"

#include <string_view>

namespace hearth::http {
namespace {

using std::string;

string get(const string& headers, const string& line = "GET / HTTP/1.1") {
    return line + "\r\nHost: h\r\n" + headers + "\r\n";
}
string line(const string& request_line) {
    return request_line + "\r\nHost: h\r\n\r\n";
}
string post(const string& headers, const string& body) {
    return "POST /echo HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n" + body;
}
string chunked(const string& body) {
    return post("Transfer-Encoding: chunked\r\n", body);
}
string with_nul(const string& before, const string& after) {
    return before + string(1, '\0') + after;
}
string repeated(std::string_view text, int times) {
    string all;
    for (int i = 0; i < times; ++i) {
        all += text;
    }
    return all;
}

const std::vector<int> accepted = {200};
const std::vector<int> bad = {400};
const std::vector<int> nothing = {};

void add_request_lines(std::vector<wire_case>& cases) {
    cases.insert(
        cases.end(),
        {
            {"plain", line("GET / HTTP/1.1"), accepted},
            {"plain_http_1_0", "GET / HTTP/1.0\r\n\r\n", accepted},
            {"one_empty_line_first", "\r\n" + line("GET / HTTP/1.1"), accepted},
            {"two_empty_lines_first", "\r\n\r\n" + line("GET / HTTP/1.1"), bad},
            {"bare_lf_first", "\n" + line("GET / HTTP/1.1"), bad},
            {"lower_case_method", line("get / HTTP/1.1"), {501}},
            {"mixed_case_method", line("Get / HTTP/1.1"), {501}},
            {"unknown_method", line("BREW / HTTP/1.1"), {501}},
            {"trace", line("TRACE / HTTP/1.1"), {501}},
            {"connect_authority_form", line("CONNECT h:443 HTTP/1.1"), {501}},
            {"method_with_invalid_character", line("G(T / HTTP/1.1"), bad},
            {"method_with_nul", with_nul("G", "T / HTTP/1.1\r\nHost: h\r\n\r\n"), bad},
            {"space_before_method", line(" GET / HTTP/1.1"), bad},
            {"tab_before_method", line("\tGET / HTTP/1.1"), bad},
            {"two_spaces_after_method", line("GET  / HTTP/1.1"), bad},
            {"tab_after_method", line("GET\t/ HTTP/1.1"), bad},
            {"two_spaces_before_version", line("GET /  HTTP/1.1"), bad},
            {"space_after_version", line("GET / HTTP/1.1 "), bad},
            {"space_in_target", line("GET /a b HTTP/1.1"), bad},
            {"no_target", line("GET HTTP/1.1"), bad},
            {"empty_target", line("GET  HTTP/1.1"), bad},
            {"http_0_9", "GET /\r\n", bad},
            {"http_0_9_with_version", line("GET / HTTP/0.9"), {505}},
            {"http_1_2", line("GET / HTTP/1.2"), {505}},
            {"http_2_0", line("GET / HTTP/2.0"), {505}},
            {"http_2_preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {505}},
            {"version_without_minor", line("GET / HTTP/1"), bad},
            {"version_with_two_digits", line("GET / HTTP/1.10"), bad},
            {"version_with_zero_first", line("GET / HTTP/01.1"), bad},
            {"version_in_lower_case", line("GET / http/1.1"), bad},
            {"version_of_another_protocol", line("GET / HTTPS/1.1"), bad},
            {"version_is_negative", line("GET / HTTP/-1.1"), bad},
            {"version_missing_slash", line("GET / HTTP1.1"), bad},
            {"bare_lf_after_request_line", "GET / HTTP/1.1\nHost: h\r\n\r\n", bad},
            {"bare_cr_in_request_line", "GET / HTTP/1.1\rHost: h\r\n\r\n", bad},
            {"two_cr_after_request_line", "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", bad},
            {"nul_in_target", with_nul("GET /a", "b HTTP/1.1\r\nHost: h\r\n\r\n"), bad},
            {"request_line_too_long", line("GET /" + string(9000, 'a') + " HTTP/1.1"), {414}},
            {"request_line_never_ends", string(9000, 'A'), {414}},
            {"tls_hello", string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", 13), bad},
            {"random_binary", "\xff\xfe\x01\x02\r\n\r\n", bad},
            {"smtp_dialogue", "EHLO example.org\r\n\r\n", bad},
            {"truncated_request_line", "GET / HT", nothing},
            {"truncated_head", "GET / HTTP/1.1\r\nHost: h\r\n", nothing},
            {"nothing_at_all", "", nothing},
            {"only_an_empty_line", "\r\n", nothing},
        });
}

void add_targets(std::vector<wire_case>& cases) {
    cases.insert(cases.end(),
                 {
                     {"query", line("GET /?a=b&c=%20[x]{y}|z HTTP/1.1"), accepted},
                     {"absolute_form", line("GET http://h/ HTTP/1.1"), accepted},
                     {"absolute_form_without_path", line("GET http://h HTTP/1.1"), accepted},
                     {"absolute_form_with_query_only", line("GET http://h?x HTTP/1.1"), accepted},
                     {"absolute_form_in_upper_case", line("GET HTTP://H/ HTTP/1.1"), accepted},
                     {"absolute_form_of_another_host", line("GET http://other/ HTTP/1.1"), bad},
                     {"absolute_form_with_user", line("GET http://u@h/ HTTP/1.1"), bad},
                     {"absolute_form_without_host", line("GET http:/// HTTP/1.1"), bad},
                     {"absolute_form_of_another_scheme", line("GET ftp://h/ HTTP/1.1"), bad},
                     {"asterisk_with_options", line("OPTIONS * HTTP/1.1"), {204}},
                     {"asterisk_with_get", line("GET * HTTP/1.1"), bad},
                     {"relative_target", line("GET index.html HTTP/1.1"), bad},
                     {"fragment", line("GET /#top HTTP/1.1"), bad},
                     {"fragment_in_query", line("GET /?a#top HTTP/1.1"), bad},
                     {"escaped_path", line("GET %2f HTTP/1.1"), bad},
                     {"escaped_slash", line("GET /a%2Fb HTTP/1.1"), bad},
                     {"escaped_backslash", line("GET /a%5cb HTTP/1.1"), bad},
                     {"raw_backslash", line("GET /a\\b HTTP/1.1"), bad},
                     {"escaped_nul", line("GET /a%00 HTTP/1.1"), bad},
                     {"escaped_line_end", line("GET /a%0d%0aX HTTP/1.1"), bad},
                     {"escape_cut_short", line("GET /a%4 HTTP/1.1"), bad},
                     {"escape_at_the_end", line("GET /a% HTTP/1.1"), bad},
                     {"escape_not_hexadecimal", line("GET /a%zz HTTP/1.1"), bad},
                     {"dot_segment", line("GET /./ HTTP/1.1"), bad},
                     {"two_dot_segment", line("GET /a/../b HTTP/1.1"), bad},
                     {"two_dot_segment_at_the_end", line("GET /a/.. HTTP/1.1"), bad},
                     {"two_dot_segment_escaped", line("GET /a/%2e%2E/b HTTP/1.1"), bad},
                     {"raw_utf8_in_path", line("GET /\xc3\xa4 HTTP/1.1"), bad},
                     {"delete_character_in_path", line("GET /\x7f HTTP/1.1"), bad},
                     {"angle_brackets_in_path", line("GET /<script> HTTP/1.1"), bad},
                 });
}

void add_headers(std::vector<wire_case>& cases) {
    cases.insert(
        cases.end(),
        {
            {"header_without_value", get("X:\r\n"), accepted},
            {"header_with_tab_before_value", get("X:\tv\r\n"), accepted},
            {"header_with_latin_1_value", get("X: \xe4\r\n"), accepted},
            {"space_before_colon", get("X : v\r\n"), bad},
            {"tab_before_colon", get("X\t: v\r\n"), bad},
            {"space_in_name", get("X Y: v\r\n"), bad},
            {"empty_name", get(": v\r\n"), bad},
            {"no_colon", get("X\r\n"), bad},
            {"invalid_character_in_name", get("X(: v\r\n"), bad},
            {"high_byte_in_name", get("X\xe4: v\r\n"), bad},
            {"nul_in_name", get(with_nul("X", ": v\r\n")), bad},
            {"nul_in_value", get(with_nul("X: a", "b\r\n")), bad},
            {"control_character_in_value", get("X: a\x01\r\n"), bad},
            {"delete_character_in_value", get("X: a\x7f\r\n"), bad},
            {"escape_character_in_value", get("X: \x1b[2J\r\n"), bad},
            {"bare_cr_in_value", get("X: a\rb\r\n"), bad},
            {"bare_cr_then_smuggled_header", get("X: a\rContent-Length: 5\r\n"), bad},
            {"bare_lf_after_header", get("X: a\n"), bad},
            {"bare_lf_ends_head", "GET / HTTP/1.1\r\nHost: h\r\n\n", bad},
            {"two_cr_after_header", get("X: a\r\r\n"), bad},
            {"obs_fold_with_space", get("X: a\r\n b\r\n"), bad},
            {"obs_fold_with_tab", get("X: a\r\n\tb\r\n"), bad},
            {"obs_fold_in_first_header", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", bad},
            {"obs_fold_of_white_space_only", get("X: a\r\n \r\n"), bad},
            {"obs_fold_in_content_length", post("Content-Length:\r\n 3\r\n", "abc"), bad},
            {"obs_fold_hides_transfer_encoding",
             post("Transfer-Encoding:\r\n chunked\r\nContent-Length: 3\r\n", "abc"), bad},
            {"header_line_too_long", get("X: " + string(9000, 'a') + "\r\n"), {431}},
            {"header_line_never_ends", "GET / HTTP/1.1\r\n" + string(9000, 'a'), {431}},
            {"sixty_four_headers", get(repeated("X: v\r\n", 63)), accepted},
            {"too_many_headers", get(repeated("X: v\r\n", 64)), {431}},
            {"head_too_large", get(repeated("X: " + string(4000, 'a') + "\r\n", 9)), {431}},
            {"no_host", "GET / HTTP/1.1\r\n\r\n", bad},
            {"two_hosts", get("Host: h\r\n"), bad},
            {"two_hosts_in_http_1_0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", bad},
            {"host_with_port", "GET / HTTP/1.1\r\nHost: h:80\r\n\r\n", accepted},
            {"host_is_ipv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", accepted},
            {"host_is_empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n", bad},
            {"host_with_space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", bad},
            {"host_with_path", "GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", bad},
            {"host_with_user", "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", bad},
            {"host_with_two_names", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", accepted},
            {"host_with_large_port", "GET / HTTP/1.1\r\nHost: h:65536\r\n\r\n", bad},
            {"host_with_text_as_port", "GET / HTTP/1.1\r\nHost: h:http\r\n\r\n", bad},
            {"host_with_open_bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", bad},
            {"unknown_expectation", get("Expect: miracles\r\n"), {417}},
            {"connection_close", get("Connection: close\r\n") + get(""), accepted},
            {"connection_close_among_others", get("Connection: x, Close\r\n") + get(""), accepted},
            {"upgrade_is_ignored",
             get("Connection: Upgrade\r\nUpgrade: h2c\r\n") + get(""),
             {200, 200}},
        });
}

void add_lengths(std::vector<wire_case>& cases) {
    const auto length = [](const string& value) {
        return post("Content-Length: " + value + "\r\n", "abc");
    };
    cases.insert(
        cases.end(),
        {
            {"content_length", length("3"), accepted},
            {"content_length_zero", post("Content-Length: 0\r\n", ""), accepted},
            {"content_length_with_zeros", length("003"), accepted},
            {"no_length_at_all", post("", ""), accepted},
            {"content_length_empty", length(""), bad},
            {"content_length_plus", length("+3"), bad},
            {"content_length_minus", length("-3"), bad},
            {"content_length_hexadecimal", length("0x3"), bad},
            {"content_length_fraction", length("3.0"), bad},
            {"content_length_with_text", length("3a"), bad},
            {"content_length_with_space", length("3 3"), bad},
            {"content_length_list", length("3, 3"), bad},
            {"content_length_overflow", length("18446744073709551619"), bad},
            {"content_length_endless", length(string(300, '9')), bad},
            {"content_length_beyond_limit", length("999999999999"), {413}},
            {"two_content_lengths", post("Content-Length: 3\r\nContent-Length: 4\r\n", "abc"), bad},
            {"two_equal_content_lengths", post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
             bad},
            {"content_length_in_two_cases",
             post("Content-Length: 3\r\ncONTENT-lENGTH: 3\r\n", "abc"), bad},
            {"space_before_colon_of_length", post("Content-Length : 3\r\n", "abc"), bad},
            {"underscore_length_is_another_header", post("Content_Length: 3\r\n", ""), accepted},
            {"cl_te", post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
             bad},
            {"te_cl", post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"),
             bad},
            {"cl_zero_te", post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
             bad},
            {"body_cut_short", post("Content-Length: 9\r\n", "abc"), nothing},
            {"body_then_request", post("Content-Length: 3\r\n", "abc") + get(""), {200, 200}},
            {"body_then_empty_line_then_request",
             post("Content-Length: 3\r\n", "abc\r\n") + get(""),
             {200, 200}},
            {"body_then_garbage", post("Content-Length: 3\r\n", "abcdef\r\n"), {200, 400}},
            {"smuggled_request_is_body",
             post("Content-Length: " + std::to_string(get("").size()) + "\r\n", get("")), accepted},
            {"three_pipelined", get("") + get("") + get(""), {200, 200, 200}},
            {"pipelined_after_http_1_0", "GET / HTTP/1.0\r\n\r\n" + get(""), accepted},
            {"http_1_0_keep_alive",
             "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + get(""),
             {200, 200}},
            {"error_ends_pipeline", get("") + line("get / HTTP/1.1") + get(""), {200, 501}},
        });
}

void add_transfer_encodings(std::vector<wire_case>& cases) {
    const auto encoding = [](const string& header) {
        return post(header, "0\r\n\r\n");
    };
    cases.insert(
        cases.end(),
        {
            {"te_chunked", encoding("Transfer-Encoding: chunked\r\n"), accepted},
            {"te_upper_case", encoding("TRANSFER-ENCODING: CHUNKED\r\n"), accepted},
            {"te_identity", encoding("Transfer-Encoding: identity\r\n"), bad},
            {"te_gzip", encoding("Transfer-Encoding: gzip\r\n"), bad},
            {"te_gzip_chunked", encoding("Transfer-Encoding: gzip, chunked\r\n"), bad},
            {"te_chunked_identity", encoding("Transfer-Encoding: chunked, identity\r\n"), bad},
            {"te_chunked_twice", encoding("Transfer-Encoding: chunked, chunked\r\n"), bad},
            {"te_two_headers",
             encoding("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), bad},
            {"te_two_headers_second_identity",
             encoding("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), bad},
            {"te_prefixed", encoding("Transfer-Encoding: xchunked\r\n"), bad},
            {"te_suffixed", encoding("Transfer-Encoding: chunkedx\r\n"), bad},
            {"te_quoted", encoding("Transfer-Encoding: \"chunked\"\r\n"), bad},
            {"te_with_parameter", encoding("Transfer-Encoding: chunked;q=1\r\n"), bad},
            {"te_with_comma", encoding("Transfer-Encoding: ,chunked\r\n"), bad},
            {"te_with_vertical_tab",
             encoding("Transfer-Encoding: \x0b"
                      "chunked\r\n"),
             bad},
            {"te_empty", encoding("Transfer-Encoding:\r\n"), bad},
            {"te_space_before_colon", encoding("Transfer-Encoding : chunked\r\n"), bad},
            {"te_name_with_leading_space", encoding(" Transfer-Encoding: chunked\r\n"), bad},
            {"te_behind_bare_lf", encoding("X: y\nTransfer-Encoding: chunked\r\n"), bad},
            {"te_in_http_1_0", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
             bad},
        });
}

void add_chunks(std::vector<wire_case>& cases) {
    cases.insert(
        cases.end(),
        {
            {"chunks", chunked("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), accepted},
            {"chunk_size_upper_case", chunked("A\r\n0123456789\r\n0\r\n\r\n"), accepted},
            {"chunk_size_with_zeros", chunked("0003\r\nabc\r\n000\r\n\r\n"), accepted},
            {"chunks_then_request", chunked("3\r\nabc\r\n0\r\n\r\n") + get(""), {200, 200}},
            {"chunk_extension", chunked("3;a=b;c=\"d e\"\r\nabc\r\n0\r\n\r\n"), accepted},
            {"chunk_extension_on_last", chunked("0;a\r\n\r\n"), accepted},
            {"chunk_size_empty", chunked("\r\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_size_plus", chunked("+3\r\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_size_minus", chunked("-3\r\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_size_0x", chunked("0x3\r\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_size_space_before", chunked(" 3\r\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_size_space_after", chunked("3 \r\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_size_space_before_extension", chunked("3 ;a\r\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_size_tab_after", chunked("3\t\r\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_size_underscore", chunked("1_0\r\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_size_not_hexadecimal", chunked("g\r\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_size_overflow", chunked("10000000000000003\r\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_size_many_zeros", chunked(string(17, '0') + "3\r\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_size_beyond_limit", chunked("ffffffffffffffff\r\n"), {413}},
            {"chunk_size_comma", chunked("3,3\r\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_size_bare_lf", chunked("3\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_size_bare_cr", chunked("3\rabc\r\n0\r\n\r\n"), bad},
            {"chunk_size_two_cr", chunked("3\r\r\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_data_bare_lf", chunked("3\r\nabc\n0\r\n\r\n"), bad},
            {"chunk_data_bare_cr", chunked("3\r\nabc\r0\r\n\r\n"), bad},
            {"chunk_data_too_long", chunked("3\r\nabcd\r\n0\r\n\r\n"), bad},
            {"chunk_data_too_short", chunked("5\r\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_data_without_end", chunked("3\r\nabc0\r\n\r\n"), bad},
            {"chunk_extension_too_long", chunked("3;" + string(300, 'a') + "\r\nabc\r\n0\r\n\r\n"),
             bad},
            {"chunk_extensions_too_many",
             chunked(repeated("1;" + string(200, 'a') + "\r\nx\r\n", 30) + "0\r\n\r\n"), bad},
            {"chunk_extension_with_lf", chunked("3;a\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_extension_with_cr", chunked("3;a\rb\r\nabc\r\n0\r\n\r\n"), bad},
            {"chunk_extension_with_nul", chunked(with_nul("3;a", "\r\nabc\r\n0\r\n\r\n")), bad},
            {"last_chunk_bare_lf", chunked("0\n\n"), bad},
            {"last_chunk_then_bare_lf", chunked("0\r\n\n"), bad},
            {"last_chunk_then_two_cr", chunked("0\r\n\r\r\n"), bad},
            {"last_chunk_missing", chunked("3\r\nabc\r\n"), nothing},
            {"last_chunk_without_empty_line", chunked("0\r\n") + get(""), bad},
            {"trailer", chunked("0\r\nX: y\r\nZ: w\r\n\r\n") + get(""), {200, 200}},
            {"trailer_with_space_before_colon", chunked("0\r\nX : y\r\n\r\n"), bad},
            {"trailer_obs_fold", chunked("0\r\nX: y\r\n z\r\n\r\n"), bad},
            {"trailer_bare_lf", chunked("0\r\nX: y\n\r\n"), bad},
            {"trailer_bare_cr", chunked("0\r\nX: y\rz\r\n\r\n"), bad},
            {"trailer_without_name", chunked("0\r\n: y\r\n\r\n"), bad},
            {"trailer_with_nul", chunked(with_nul("0\r\nX: ", "\r\n\r\n")), bad},
            {"trailer_content_length", chunked("0\r\nContent-Length: 5\r\n\r\n"), bad},
            {"trailer_transfer_encoding", chunked("0\r\nTransfer-Encoding: x\r\n\r\n"), bad},
            {"trailer_host", chunked("0\r\nHost: x\r\n\r\n"), bad},
            {"trailers_too_large",
             chunked("0\r\n" + repeated("X: yyyyyyyy\r\n", 700) + "\r\n"),
             {431}},
        });
}

}  // namespace

const std::vector<wire_case>& wire_cases() {
    static const std::vector<wire_case> cases = [] {
        std::vector<wire_case> made;
        add_request_lines(made);
        add_targets(made);
        add_headers(made);
        add_lengths(made);
        add_transfer_encodings(made);
        add_chunks(made);
        return made;
    }();
    return cases;
}

}  // namespace hearth::http
