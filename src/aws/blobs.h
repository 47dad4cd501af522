#pragma once

#include <string>
#include <string_view>

#include "aws/s3.h"

namespace hearth::aws {

// Payloads that do not fit into a message or an item, as objects of a bucket. Their keys lie in the
// message or item; whoever removes that removes the object after it, and a lifecycle rule of the
// bucket removes what was forgotten in between. Ring thread only.
class blobs {
public:
    static constexpr std::size_t blob_bytes_max = 8u << 20;

    // Keys begin with `prefix`: "events/". `where` outlives this.
    blobs(bucket& where, std::string prefix) : bucket_(where), prefix_(std::move(prefix)) {}

    // Under a new name that begins with `name`; returns its key.
    task<result<std::string>> put(std::string_view name, std::string content, deadline until);
    // errc::not_found; errc::invalid_argument for a key that put() cannot have returned.
    task<result<std::string>> get(std::string key, deadline until);
    // Absent is success.
    task<result<>> remove(std::string key, deadline until);

private:
    bucket& bucket_;
    std::string prefix_;
};

}  // namespace hearth::aws
