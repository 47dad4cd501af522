#pragma once

#include <string>
#include <string_view>

#include "aws/s3.h"
#include "coro/thread_pool.h"
#include "faas/ports.h"

namespace hearth::aws {

// Code as objects "code/<sha256>" of a bucket. Uploads and downloads move in parts of part_bytes,
// one in memory at a time; files are read, written and hashed on `blocking`. Every part carries its
// checksum, which S3 verifies; the whole is checked against its hash before an upload is completed
// and after a download, so that damage is errc::corrupt, never code that runs. Ring thread only.
class code_store final : public faas::code_store {
public:
    // Larger files are uploaded in several parts. AWS wants 5 MiB at least.
    static constexpr std::size_t part_bytes = 8u << 20;

    // Both outlive this.
    code_store(bucket& where, thread_pool& blocking) : bucket_(where), blocking_(blocking) {}

    task<result<>> put(std::string_view sha256, int file, std::size_t size,
                       deadline until) override;
    // An unnamed file in memory.
    task<result<unique_fd>> open(std::string_view sha256, deadline until) override;
    task<result<>> remove(std::string_view sha256, deadline until) override;
    task<result<std::vector<stored>>> list(std::string_view after, std::size_t limit,
                                           deadline until) override;

    // A URL for one upload of exactly this content: size, type and checksum are signed, so that S3
    // refuses anything else.
    task<result<std::string>> presign_put(std::string_view sha256, std::size_t size,
                                          std::string_view content_type, seconds lifetime,
                                          deadline until);
    task<result<std::string>> presign_get(std::string_view sha256, seconds lifetime,
                                          deadline until);

private:
    task<result<>> put_parts(std::string key, std::string_view sha256, int file, std::size_t size,
                             deadline until);

    bucket& bucket_;
    thread_pool& blocking_;
};

}  // namespace hearth::aws
