#include "aws/code_store.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include <openssl/evp.h>
#include <sys/mman.h>
#include <unistd.h>

#include "aws/text.h"
#include "base/concat.h"
#include "base/ids.h"
#include "base/log.h"

namespace hearth::aws {
namespace {

constexpr std::string_view prefix = "code/";
constexpr std::size_t hash_digits = 64;
constexpr milliseconds abort_time{10'000};

bool is_hash(std::string_view text) {
    return text.size() == hash_digits &&
           text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

result<> check_hash(std::string_view text) {
    if (!is_hash(text)) {
        return fail(errc::invalid_argument, "code is named by its SHA-256 in lower-case hex");
    }
    return {};
}

std::string key_of(std::string_view sha256) {
    return concat(prefix, sha256);
}

// SHA-256 of what comes in pieces.
class running_hash {
public:
    running_hash() : state_(::EVP_MD_CTX_new(), &::EVP_MD_CTX_free) {
        ::EVP_DigestInit_ex(state_.get(), ::EVP_sha256(), nullptr);
    }
    void add(std::string_view bytes) {
        ::EVP_DigestUpdate(state_.get(), bytes.data(), bytes.size());
    }
    [[nodiscard]] std::string finish() {
        std::array<std::byte, 32> digest{};
        unsigned size = 0;
        ::EVP_DigestFinal_ex(state_.get(), reinterpret_cast<unsigned char*>(digest.data()), &size);
        return to_hex(digest);
    }

private:
    std::unique_ptr<EVP_MD_CTX, decltype(&::EVP_MD_CTX_free)> state_;
};

// `count` bytes from `offset` on; errc::corrupt when the file ends before.
result<std::string> read_part(int file, std::size_t offset, std::size_t count) {
    std::string part(count, '\0');
    for (std::size_t done = 0; done < count;) {
        const ssize_t got =
            ::pread(file, part.data() + done, count - done, static_cast<off_t>(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_errno("read the code");
        }
        if (got == 0) {
            return fail(errc::corrupt, "the code is shorter than announced");
        }
        done += static_cast<std::size_t>(got);
    }
    return part;
}

result<> write_part(int file, std::string_view part) {
    while (!part.empty()) {
        const ssize_t count = ::write(file, part.data(), part.size());
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno("keep the code in memory");
        }
        part.remove_prefix(static_cast<std::size_t>(count));
    }
    return {};
}

std::unexpected<error> mismatch(std::string_view sha256) {
    return fail(errc::corrupt, concat("the code does not match its SHA-256 ", sha256));
}

template <class Function>
auto on_pool(thread_pool& pool, Function function) -> task<std::invoke_result_t<Function>> {
    auto done = co_await pool.run(std::move(function));
    if (!done) {
        co_return propagate(done);
    }
    co_return std::move(*done);
}

// Of the whole file, before anything is sent.
result<> verify(int file, std::size_t size, std::string_view sha256) {
    running_hash hash;
    constexpr std::size_t block_bytes = 1u << 20;
    for (std::size_t at = 0; at < size; at += block_bytes) {
        auto part = read_part(file, at, std::min(block_bytes, size - at));
        if (!part) {
            return propagate(part);
        }
        hash.add(*part);
    }
    return hash.finish() == sha256 ? result<>{} : mismatch(sha256);
}

}  // namespace

task<result<>> code_store::put(std::string_view sha256, int file, std::size_t size,
                               deadline until) {
    if (auto valid = check_hash(sha256); !valid) {
        co_return valid;
    }
    if (size > faas::code_bytes_max) {
        co_return fail(errc::too_large, concat("code is at most ", faas::code_bytes_max, " bytes"));
    }
    auto verified = co_await on_pool(blocking_, [=] { return verify(file, size, sha256); });
    if (!verified) {
        co_return verified;
    }
    if (size > part_bytes) {
        co_return co_await put_parts(key_of(sha256), sha256, file, size, until);
    }
    auto content = co_await on_pool(blocking_, [=] { return read_part(file, 0, size); });
    if (!content) {
        co_return propagate(content);
    }
    co_return co_await bucket_.put(key_of(sha256), std::move(*content), "application/octet-stream",
                                   until);
}

task<result<>> code_store::put_parts(std::string key, std::string_view sha256, int file,
                                     std::size_t size, deadline until) {
    auto id = co_await bucket_.begin_upload(key, until);
    if (!id) {
        co_return propagate(id);
    }
    std::vector<bucket::part> parts;
    running_hash hash;  // of what is really sent: the file may change under us
    result<> done;
    for (std::size_t at = 0; at < size && done; at += part_bytes) {
        auto content = co_await on_pool(blocking_, [&hash, file, at, size] {
            auto part = read_part(file, at, std::min(part_bytes, size - at));
            if (part) {
                hash.add(*part);
            }
            return part;
        });
        if (!content) {
            done = propagate(content);
            break;
        }
        auto part = co_await bucket_.upload_part(key, *id, static_cast<int>(parts.size()) + 1,
                                                 std::move(*content), until);
        if (!part) {
            done = propagate(part);
            break;
        }
        parts.push_back(std::move(*part));
    }
    if (done && hash.finish() != sha256) {
        done = mismatch(sha256);
    }
    if (done) {
        done = co_await bucket_.complete_upload(key, *id, std::move(parts), until);
        if (!done && done.error().code == errc::not_found) {
            // An attempt whose answer was lost has completed it? What lies under a hash is its own.
            const auto there = co_await bucket_.get_range(key, 0, 1, until);
            if (there && static_cast<std::size_t>(there->size) == size) {
                co_return result<>{};
            }
        }
    }
    if (!done) {
        // Parts that nobody completes cost money until a lifecycle rule removes them.
        auto aborted = co_await bucket_.abort_upload(key, *id, after(abort_time));
        if (!aborted) {
            log::warning("an upload could not be aborted; the bucket's lifecycle rule removes it",
                         {{"key", key}, {"reason", aborted.error().message}});
        }
    }
    co_return done;
}

task<result<unique_fd>> code_store::open(std::string_view sha256, deadline until) {
    if (auto valid = check_hash(sha256); !valid) {
        co_return propagate(valid);
    }
    unique_fd file(::memfd_create("hearth-code", MFD_CLOEXEC));
    if (!file) {
        co_return fail_errno("memfd_create");
    }
    running_hash hash;
    std::size_t size = 0;
    for (;;) {
        auto part = co_await bucket_.get_range(key_of(sha256), static_cast<std::int64_t>(size),
                                               part_bytes, until);
        if (!part && size == 0 && part.error().code == errc::invalid_argument) {
            part = co_await bucket_.get(key_of(sha256), 0, until);  // empty: it has no range
        }
        if (!part) {
            co_return propagate(part);
        }
        if (static_cast<std::size_t>(part->size) > faas::code_bytes_max) {
            co_return mismatch(sha256);
        }
        auto kept = co_await on_pool(blocking_, [&hash, &part, fd = file.get()] {
            hash.add(part->body);
            return write_part(fd, part->body);
        });
        if (!kept) {
            co_return propagate(kept);
        }
        size += part->body.size();
        if (size >= static_cast<std::size_t>(part->size) || part->body.empty()) {
            break;
        }
    }
    if (hash.finish() != sha256) {
        co_return mismatch(sha256);
    }
    if (::lseek(file.get(), 0, SEEK_SET) != 0) {
        co_return fail_errno("lseek");
    }
    co_return file;
}

task<result<>> code_store::remove(std::string_view sha256, deadline until) {
    if (auto valid = check_hash(sha256); !valid) {
        co_return valid;
    }
    co_return co_await bucket_.remove(key_of(sha256), until);
}

task<result<std::vector<faas::code_store::stored>>> code_store::list(std::string_view after,
                                                                     std::size_t limit,
                                                                     deadline until) {
    std::string from = after.empty() ? std::string() : key_of(after);
    std::vector<stored> hashes;
    // A page of nothing but other objects is not the end.
    for (bool more = true; more && hashes.empty();) {
        auto found = co_await bucket_.list_with_times(std::string(prefix), from, limit, until);
        if (!found) {
            co_return propagate(found);
        }
        more = found->size() == limit;
        for (const auto& each : *found) {
            const auto name =
                std::string_view(each.key).substr(std::min(prefix.size(), each.key.size()));
            if (is_hash(name)) {
                // Without a time it is taken for new, so that nobody removes it.
                hashes.push_back(
                    {std::string(name), each.modified > 0 ? each.modified : wall_clock_ms()});
            }
            from = each.key;
        }
    }
    co_return hashes;
}

task<result<std::string>> code_store::presign_put(std::string_view sha256, std::size_t size,
                                                  std::string_view content_type, seconds lifetime,
                                                  deadline until) {
    if (auto valid = check_hash(sha256); !valid) {
        co_return propagate(valid);
    }
    if (size > faas::code_bytes_max) {
        co_return fail(errc::too_large, concat("code is at most ", faas::code_bytes_max, " bytes"));
    }
    std::string digest;
    for (std::size_t i = 0; i < sha256.size(); i += 2) {
        digest += static_cast<char>(std::stoi(std::string(sha256.substr(i, 2)), nullptr, 16));
    }
    fields headers{{"content-length", concat(size)},
                   {"content-type", std::string(content_type)},
                   {"x-amz-checksum-sha256", base64_encode(digest)}};
    co_return co_await bucket_.presign("PUT", key_of(sha256), std::move(headers), lifetime, until);
}

task<result<std::string>> code_store::presign_get(std::string_view sha256, seconds lifetime,
                                                  deadline until) {
    if (auto valid = check_hash(sha256); !valid) {
        co_return propagate(valid);
    }
    co_return co_await bucket_.presign("GET", key_of(sha256), {}, lifetime, until);
}

}  // namespace hearth::aws
