#include "aws/sigv4.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <map>
#include <span>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/check.h"
#include "base/concat.h"
#include "base/ids.h"

namespace hearth::aws {
namespace {

constexpr std::string_view algorithm = "AWS4-HMAC-SHA256";
constexpr std::size_t digest_bytes = 32;
using digest = std::array<std::byte, digest_bytes>;

digest hmac(std::span<const std::byte> key, std::string_view text) {
    digest out{};
    unsigned size = digest_bytes;
    HEARTH_CHECK(::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()),
                        reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                        reinterpret_cast<unsigned char*>(out.data()), &size) != nullptr,
                 "HMAC-SHA-256 is not to be had");
    return out;
}

// "20150830T123600Z"
std::string time_stamp(epoch_ms now) {
    const std::time_t time = now / 1000;
    std::tm parts{};
    ::gmtime_r(&time, &parts);
    char text[20];
    return {text, std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts)};
}

std::string scope_text(const signing_scope& scope) {
    return concat(time_stamp(scope.now).substr(0, 8), '/', scope.region, '/', scope.service,
                  "/aws4_request");
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return out;
}

// Without the white space around it, and with one space for each run inside.
std::string trimmed(std::string_view value) {
    std::string out;
    for (const char c : value) {
        const bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
        if (!space) {
            out += c;
        } else if (!out.empty() && out.back() != ' ') {
            out += ' ';
        }
    }
    if (out.ends_with(' ')) {
        out.pop_back();
    }
    return out;
}

// By name; the values of one name stay in their order, joined by commas.
std::map<std::string, std::string> canonical_headers(const fields& headers) {
    std::map<std::string, std::string> sorted;
    for (const auto& [name, value] : headers) {
        const auto [place, fresh] = sorted.try_emplace(lower(name), trimmed(value));
        if (!fresh) {
            place->second += ',' + trimmed(value);
        }
    }
    return sorted;
}

std::string signed_names(const std::map<std::string, std::string>& headers) {
    std::string names;
    for (const auto& [name, value] : headers) {
        names += names.empty() ? name : ';' + name;
    }
    return names;
}

std::string normalized(std::string_view path) {
    std::vector<std::string_view> segments;
    for (std::size_t at = 0; at < path.size();) {
        const auto end = std::min(path.find('/', at), path.size());
        const auto segment = path.substr(at, end - at);
        if (segment == "..") {
            if (!segments.empty()) {
                segments.pop_back();
            }
        } else if (!segment.empty() && segment != ".") {
            segments.push_back(segment);
        }
        at = end + 1;
    }
    std::string out;
    for (const auto segment : segments) {
        out += '/';
        out += segment;
    }
    const bool is_folder = path.ends_with('/') && !segments.empty();
    return out.empty() || is_folder ? out + '/' : out;
}

std::string encoded_query(const fields& query, bool sorted) {
    fields encoded;
    encoded.reserve(query.size());
    for (const auto& [name, value] : query) {
        encoded.emplace_back(percent_encode(name), percent_encode(value));
    }
    if (sorted) {
        std::ranges::sort(encoded);
    }
    std::string out;
    for (const auto& [name, value] : encoded) {
        out += concat(out.empty() ? "" : "&", name, '=', value);
    }
    return out;
}

std::string signature(const signable& request, const credentials& who, const signing_scope& scope) {
    const auto date = time_stamp(scope.now).substr(0, 8);
    const auto secret = concat("AWS4", who.secret_access_key);
    auto key = hmac(std::as_bytes(std::span(secret)), date);
    key = hmac(key, scope.region);
    key = hmac(key, scope.service);
    key = hmac(key, "aws4_request");
    const auto text = concat(algorithm, '\n', time_stamp(scope.now), '\n', scope_text(scope), '\n',
                             sha256_hex(canonical_request(request, scope)));
    return to_hex(hmac(key, text));
}

}  // namespace

std::string sha256_hex(std::string_view text) {
    digest out{};
    unsigned size = digest_bytes;
    HEARTH_CHECK(
        ::EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(out.data()), &size,
                     ::EVP_sha256(), nullptr) == 1,
        "SHA-256 is not to be had");
    return to_hex(out);
}

std::string percent_encode(std::string_view text, std::string_view keep) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    constexpr std::string_view unreserved =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        if (unreserved.contains(c) || keep.contains(c)) {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += '%';
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
    return out;
}

std::string target_of(const signable& request) {
    auto target = percent_encode(request.path, "/");
    if (!request.query.empty()) {
        target += '?' + encoded_query(request.query, false);
    }
    return target;
}

std::string canonical_request(const signable& request, const signing_scope& scope) {
    const auto headers = canonical_headers(request.headers);
    std::string lines;
    for (const auto& [name, value] : headers) {
        lines += concat(name, ':', value, '\n');
    }
    const auto path = scope.normalize_path ? normalized(request.path) : request.path;
    return concat(request.method, '\n', percent_encode(path, "/"), '\n',
                  encoded_query(request.query, true), '\n', lines, '\n', signed_names(headers),
                  '\n', request.payload_hash);
}

void sign(signable& request, const credentials& who, const signing_scope& scope) {
    request.headers.emplace_back("x-amz-date", time_stamp(scope.now));
    if (scope.payload_header) {
        request.headers.emplace_back("x-amz-content-sha256", request.payload_hash);
    }
    if (!who.session_token.empty() && scope.sign_token) {
        request.headers.emplace_back("x-amz-security-token", who.session_token);
    }
    auto authorization =
        concat(algorithm, " Credential=", who.access_key_id, '/', scope_text(scope),
               ", SignedHeaders=", signed_names(canonical_headers(request.headers)),
               ", Signature=", signature(request, who, scope));
    request.headers.emplace_back("authorization", std::move(authorization));
    if (!who.session_token.empty() && !scope.sign_token) {
        request.headers.emplace_back("x-amz-security-token", who.session_token);
    }
}

void presign(signable& request, const credentials& who, const signing_scope& scope,
             seconds lifetime) {
    auto& query = request.query;
    query.emplace_back("X-Amz-Algorithm", algorithm);
    query.emplace_back("X-Amz-Credential", concat(who.access_key_id, '/', scope_text(scope)));
    query.emplace_back("X-Amz-Date", time_stamp(scope.now));
    query.emplace_back("X-Amz-SignedHeaders", signed_names(canonical_headers(request.headers)));
    query.emplace_back("X-Amz-Expires", concat(lifetime.count()));
    if (!who.session_token.empty() && scope.sign_token) {
        query.emplace_back("X-Amz-Security-Token", who.session_token);
    }
    auto made = signature(request, who, scope);
    if (!who.session_token.empty() && !scope.sign_token) {
        query.emplace_back("X-Amz-Security-Token", who.session_token);
    }
    query.emplace_back("X-Amz-Signature", std::move(made));
}

}  // namespace hearth::aws
