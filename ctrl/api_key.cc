#include "ctrl/api_key.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "http/characters.h"

namespace hearth::ctrl {
namespace {

std::array<std::byte, 32> sha256(std::string_view text) {
    std::array<std::byte, 32> hash;
    ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
             reinterpret_cast<unsigned char*>(hash.data()));
    return hash;
}

}  // namespace

api_key::api_key(std::string_view key) : hash_(sha256(key)) {}

bool api_key::matches(std::string_view shown) const {
    const auto hash = sha256(shown);
    return ::CRYPTO_memcmp(hash.data(), hash_.data(), hash_.size()) == 0;
}

bool api_key::admits(const http::request& request) const {
    if (const auto key = request.header("x-api-key")) {
        return matches(*key);
    }
    constexpr std::string_view scheme = "Bearer ";
    const auto authorization = request.header("authorization");
    return authorization && authorization->size() > scheme.size() &&
           http::equal_ignoring_case(authorization->substr(0, scheme.size()), scheme) &&
           matches(authorization->substr(scheme.size()));
}

}  // namespace hearth::ctrl
