#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"

// AWS Signature Version 4 (docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html), in
// headers and in the query of a presigned URL. Pure functions; any thread. Our own, because
// libcurl's before 8.3 signs unsorted queries, streamed bodies and S3's payload hash wrongly.

namespace hearth::aws {

struct credentials {
    std::string access_key_id;
    std::string secret_access_key;
    std::string session_token;  // empty for long-lived keys
};

using fields = std::vector<std::pair<std::string, std::string>>;

// One request before it is signed. Path, names and values are raw: encoding is done here, once, and
// target_of() gives what goes over the wire.
struct signable {
    std::string method = "GET";
    std::string path = "/";
    fields query;
    fields headers;            // with host
    std::string payload_hash;  // lower-case hexadecimal SHA-256 of the body, or unsigned_payload
};

inline constexpr std::string_view unsigned_payload = "UNSIGNED-PAYLOAD";

struct signing_scope {
    std::string_view region;
    std::string_view service;
    epoch_ms now = 0;
    // "." and ".." resolved and double slashes joined, as all services but S3 want it.
    bool normalize_path = true;
    // S3 wants x-amz-content-sha256 among the headers.
    bool payload_header = false;
    // False only where a service adds the token to the request after it was signed.
    bool sign_token = true;
};

// Adds x-amz-date, x-amz-security-token, x-amz-content-sha256 and authorization to the headers.
void sign(signable& request, const credentials& who, const signing_scope& scope);

// Adds the signature to the query; whoever has the URL may send the request until `lifetime` (at
// most 7 days) has passed. Headers that are in the request must be sent with it.
void presign(signable& request, const credentials& who, const signing_scope& scope,
             seconds lifetime);

// Path and query, encoded: the request line's target.
[[nodiscard]] std::string target_of(const signable& request);

// RFC 3986: all but unreserved characters become %XX; `keep` are left as they are.
[[nodiscard]] std::string percent_encode(std::string_view text, std::string_view keep = {});

// Lower-case hexadecimal.
[[nodiscard]] std::string sha256_hex(std::string_view text);

// For tests against published vectors: the two texts that the signature is made of.
[[nodiscard]] std::string canonical_request(const signable& request, const signing_scope& scope);

}  // namespace hearth::aws
