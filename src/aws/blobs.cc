#include "aws/blobs.h"

#include "base/concat.h"
#include "base/ids.h"

namespace hearth::aws {

task<result<std::string>> blobs::put(std::string_view name, std::string content, deadline until) {
    // The random part: two that write for the same job do not overwrite each other.
    std::string key = concat(prefix_, name, '/', make_uuid());
    auto stored = co_await bucket_.put(key, std::move(content), "application/octet-stream", until);
    if (!stored) {
        co_return propagate(stored);
    }
    co_return key;
}

task<result<std::string>> blobs::get(std::string key, deadline until) {
    if (!key.starts_with(prefix_)) {
        co_return fail(errc::invalid_argument, concat("not the key of a payload: ", key));
    }
    auto got = co_await bucket_.get(std::move(key), blob_bytes_max, until);
    if (!got) {
        co_return propagate(got);
    }
    co_return std::move(got->body);
}

task<result<>> blobs::remove(std::string key, deadline until) {
    if (!key.starts_with(prefix_)) {
        co_return fail(errc::invalid_argument, concat("not the key of a payload: ", key));
    }
    co_return co_await bucket_.remove(std::move(key), until);
}

}  // namespace hearth::aws
