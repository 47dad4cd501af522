#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aws/client.h"

namespace hearth::aws {

// One S3 bucket: objects by key. Bodies pass through memory, so large ones go in parts and ranges.
// Every upload carries its SHA-256, which S3 verifies, and keeps for objects that come in one
// piece. Ring thread only.
class bucket {
public:
    // `api` is for S3 and outlives this.
    bucket(client& api, std::string name);

    struct object {
        std::string body;
        std::int64_t size = 0;  // of the whole object
    };
    struct part {
        int number = 1;  // from 1
        std::string etag;
    };

    // errc::unavailable when the bucket is not there, corrupt when S3 got something else than what
    // was sent.
    task<result<>> put(std::string key, std::string body, std::string content_type, deadline until);
    // errc::not_found. The whole object, or the range from `first` on, `count` bytes at most;
    // errc::too_large beyond `count`.
    task<result<object>> get(std::string key, std::size_t count, deadline until);
    task<result<object>> get_range(std::string key, std::int64_t first, std::size_t count,
                                   deadline until);
    // Absent is success.
    task<result<>> remove(std::string key, deadline until);
    struct listed {
        std::string key;
        epoch_ms modified = 0;  // by S3's clock; 0 where it does not say
    };
    // Keys that begin with `prefix`, in order, after `after`; at most `limit`, up to 1000.
    task<result<std::vector<std::string>>> list(std::string prefix, std::string after,
                                                std::size_t limit, deadline until);
    task<result<std::vector<listed>>> list_with_times(std::string prefix, std::string after,
                                                      std::size_t limit, deadline until);

    // Multipart: begin, parts of 5 MiB at least but the last, in any order, then complete or abort.
    task<result<std::string>> begin_upload(std::string key, deadline until);
    task<result<part>> upload_part(std::string key, std::string upload_id, int number,
                                   std::string body, deadline until);
    task<result<>> complete_upload(std::string key, std::string upload_id, std::vector<part> parts,
                                   deadline until);
    task<result<>> abort_upload(std::string key, std::string upload_id, deadline until);

    // A URL that whoever has it may use until `lifetime` has passed (or the credentials' own, if
    // that is shorter). `headers` must be sent exactly as they are here: with content-length and
    // content-type an upload is held to size and type.
    task<result<std::string>> presign(std::string method, std::string key, fields headers,
                                      seconds lifetime, deadline until);

    [[nodiscard]] const std::string& name() const noexcept { return name_; }

private:
    [[nodiscard]] request ask(std::string operation, std::string method,
                              std::string_view key) const;

    client& api_;
    std::string name_;
    endpoint where_;
};

}  // namespace hearth::aws
