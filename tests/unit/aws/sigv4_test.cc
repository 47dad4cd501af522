#include "aws/sigv4.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include <gtest/gtest.h>

#include "base/json.h"

namespace hearth::aws {
namespace {

constexpr epoch_ms vectors_time = 1'440'938'160'000;  // 2015-08-30T12:36:00Z

// One case of the published suite (github.com/awslabs/aws-c-auth, v4).
struct vector_case {
    signable request;
    credentials who;
    signing_scope scope{.region = "us-east-1", .service = "service", .now = vectors_time};
    seconds lifetime{0};
};

std::string read_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::string percent_decode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%') {
            out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

void read_target(std::string_view target, signable& into) {
    const auto mark = target.find('?');
    into.path = target.substr(0, mark);
    if (mark == std::string_view::npos) {
        return;
    }
    std::istringstream pairs{std::string(target.substr(mark + 1))};
    for (std::string pair; std::getline(pairs, pair, '&');) {
        const auto equals = pair.find('=');
        into.query.emplace_back(percent_decode(pair.substr(0, equals)),
                                equals == std::string::npos
                                    ? ""
                                    : percent_decode(std::string_view(pair).substr(equals + 1)));
    }
}

// The suite's own form of a request: a line that begins with a space goes on with the header
// before.
void read_request(const std::string& text, signable& into) {
    std::istringstream lines(text);
    std::string line;
    std::getline(lines, line);
    const auto first = line.find(' ');
    into.method = line.substr(0, first);
    read_target(line.substr(first + 1, line.rfind(' ') - first - 1), into);
    while (std::getline(lines, line) && !line.empty()) {
        if (line.front() == ' ') {
            into.headers.back().second += '\n' + line;
            continue;
        }
        const auto colon = line.find(':');
        into.headers.emplace_back(line.substr(0, colon), line.substr(colon + 1));
    }
    const std::string body{std::istreambuf_iterator<char>(lines), {}};
    into.payload_hash = sha256_hex(body);
}

vector_case read_case(const std::filesystem::path& folder) {
    vector_case read;
    read_request(read_file(folder / "request.txt"), read.request);
    const auto document = json::document::parse(read_file(folder / "context.json"));
    EXPECT_TRUE(document) << folder;
    const auto context = document->root();
    const auto text = [&](const char* name) {
        const char* value = "";
        std::ignore = context["credentials"][name].get(value);
        return std::string(value);
    };
    read.who = {text("access_key_id"), text("secret_access_key"), text("token")};
    bool omit_token = false;
    std::int64_t lifetime = 0;
    EXPECT_EQ(context["normalize"].get(read.scope.normalize_path), simdjson::SUCCESS);
    EXPECT_EQ(context["sign_body"].get(read.scope.payload_header), simdjson::SUCCESS);
    EXPECT_EQ(context["expiration_in_seconds"].get(lifetime), simdjson::SUCCESS);
    std::ignore = context["omit_session_token"].get(omit_token);
    read.scope.sign_token = !omit_token;
    read.lifetime = seconds(lifetime);
    return read;
}

std::string header_of(const signable& request, std::string_view name) {
    for (const auto& [each, value] : request.headers) {
        if (each == name) {
            return value;
        }
    }
    return {};
}

// What was signed, without what the signature itself added.
signable without_authorization(signable request) {
    std::erase_if(request.headers, [](const auto& each) { return each.first == "authorization"; });
    return request;
}

TEST(sigv4, a_request_is_signed_as_published) {
    signable request{.headers = {{"Host", "example.amazonaws.com"}},
                     .payload_hash = sha256_hex("")};
    sign(request, {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""},
         {.region = "us-east-1", .service = "service", .now = vectors_time});
    EXPECT_EQ(header_of(request, "authorization"),
              "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
              "SignedHeaders=host;x-amz-date, "
              "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    EXPECT_EQ(header_of(request, "x-amz-date"), "20150830T123600Z");
}

TEST(sigv4, all_published_vectors_agree_in_headers_and_in_the_query) {
    const std::filesystem::path root = HEARTH_SIGV4_VECTORS;
    if (!std::filesystem::exists(root)) {
        GTEST_SKIP() << "the full set of vectors was not run: " << root << " is absent";
    }
    int cases = 0;
    for (const auto& folder : std::filesystem::directory_iterator(root)) {
        if (!folder.is_directory()) {
            continue;
        }
        ++cases;
        const auto name = folder.path().filename().string();
        auto by_headers = read_case(folder.path());
        sign(by_headers.request, by_headers.who, by_headers.scope);
        auto signed_part = without_authorization(by_headers.request);
        if (!by_headers.scope.sign_token) {
            signed_part.headers.pop_back();  // the token, added after the signature
        }
        EXPECT_EQ(canonical_request(signed_part, by_headers.scope),
                  read_file(folder.path() / "header-canonical-request.txt"))
            << name;
        const auto expected = read_file(folder.path() / "header-signature.txt");
        EXPECT_TRUE(header_of(by_headers.request, "authorization").ends_with("=" + expected))
            << name;

        auto by_query = read_case(folder.path());
        presign(by_query.request, by_query.who, by_query.scope, by_query.lifetime);
        EXPECT_EQ(by_query.request.query.back().second,
                  read_file(folder.path() / "query-signature.txt"))
            << name;
    }
    EXPECT_EQ(cases, 38);
}

TEST(sigv4, s3_paths_are_signed_as_they_are) {
    const signable request{.path = "/bucket//a/../b c+d%/ü",
                           .headers = {{"host", "s3"}},
                           .payload_hash = std::string(unsigned_payload)};
    const auto text =
        canonical_request(request, {.region = "r", .service = "s3", .normalize_path = false});
    EXPECT_TRUE(
        text.starts_with("GET\n/bucket//a/../b%20c%2Bd%25/%C3%BC\n\nhost:s3\n\nhost\n"
                         "UNSIGNED-PAYLOAD"))
        << text;
}

TEST(sigv4, the_target_is_what_was_signed) {
    const signable request{.path = "/a b", .query = {{"uploads", ""}, {"k y", "v/1"}}};
    EXPECT_EQ(target_of(request), "/a%20b?uploads=&k%20y=v%2F1");
}

}  // namespace
}  // namespace hearth::aws
