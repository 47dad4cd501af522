#include "faas/job_ids.h"

#include <span>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/check.h"
#include "base/concat.h"
#include "base/ids.h"

namespace hearth::faas {
namespace {

// So that an id tells nothing of what else is made from the same secret.
constexpr std::string_view purpose = "hearth job ids";
constexpr std::size_t uuid_chars = 36;
constexpr std::size_t mark_bytes = 8;

using digest = std::array<std::byte, 32>;

digest hmac(const void* key, std::size_t key_bytes, std::string_view text) {
    digest made{};
    HEARTH_CHECK(::HMAC(::EVP_sha256(), key, static_cast<int>(key_bytes),
                        reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                        reinterpret_cast<unsigned char*>(made.data()), nullptr) != nullptr,
                 "HMAC-SHA-256 is not to be had");
    return made;
}

}  // namespace

job_ids::job_ids(std::string_view secret) : key_(hmac(secret.data(), secret.size(), purpose)) {}

std::string job_ids::mark_of(std::string_view uuid) const {
    const digest made = hmac(key_.data(), key_.size(), uuid);
    return to_hex(std::span<const std::byte>(made).first(mark_bytes));
}

std::string job_ids::make() const {
    const std::string uuid = make_uuid();
    return concat(uuid, '.', mark_of(uuid));
}

std::optional<epoch_ms> job_ids::issued_at(std::string_view id) const {
    if (id.size() != uuid_chars + 1 + 2 * mark_bytes || id[uuid_chars] != '.') {
        return std::nullopt;
    }
    const auto uuid = id.substr(0, uuid_chars);
    const std::string expected = mark_of(uuid);
    if (::CRYPTO_memcmp(expected.data(), id.data() + uuid_chars + 1, expected.size()) != 0) {
        return std::nullopt;
    }
    return time_of_uuid(uuid);
}

}  // namespace hearth::faas
