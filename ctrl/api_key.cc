#include "ctrl/api_key.h"

#include <memory>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/check.h"
#include "http/characters.h"

namespace hearth::ctrl {
namespace {

// OpenSSL looks its algorithms up by name at each use, under a lock, unless they are kept: that is
// most of what a short hash costs.
class hasher {
public:
    std::array<std::byte, 32> sha256(std::string_view text) {
        std::array<std::byte, 32> hash;
        const bool done =
            ::EVP_DigestInit_ex2(context_.get(), kind_.get(), nullptr) == 1 &&
            ::EVP_DigestUpdate(context_.get(), text.data(), text.size()) == 1 &&
            ::EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(hash.data()),
                                 nullptr) == 1;
        HEARTH_CHECK(done, "SHA-256 of a key");
        return hash;
    }

private:
    struct deleter {
        void operator()(EVP_MD* kind) const noexcept { ::EVP_MD_free(kind); }
        void operator()(EVP_MD_CTX* context) const noexcept { ::EVP_MD_CTX_free(context); }
    };
    std::unique_ptr<EVP_MD, deleter> kind_{::EVP_MD_fetch(nullptr, "SHA256", nullptr)};
    std::unique_ptr<EVP_MD_CTX, deleter> context_{::EVP_MD_CTX_new()};
};

std::array<std::byte, 32> sha256(std::string_view text) {
    static thread_local hasher kept;
    return kept.sha256(text);
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
