#include "http/file_writer.h"

#include <algorithm>
#include <cerrno>

#include <unistd.h>

namespace hearth::http {
namespace {

result<> write_at(int descriptor, std::span<const std::byte> block, std::uint64_t offset) {
    while (!block.empty()) {
        const ssize_t count =
            ::pwrite(descriptor, block.data(), block.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno("cannot write an upload to its file");
        }
        block = block.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return {};
}

}  // namespace

task<result<>> file_writer::write(std::span<const std::byte> piece) {
    while (!piece.empty()) {
        const std::size_t taken = std::min(piece.size(), block_bytes - block_.size());
        block_.insert(block_.end(), piece.begin(),
                      piece.begin() + static_cast<std::ptrdiff_t>(taken));
        piece = piece.subspan(taken);
        if (block_.size() == block_bytes) {
            auto done = co_await finish();
            if (!done) {
                co_return propagate(done);
            }
        }
    }
    co_return result<>{};
}

task<result<>> file_writer::finish() {
    if (block_.empty()) {
        co_return result<>{};
    }
    auto done = co_await pool_.run([this] {
        if (on_block_) {
            on_block_(block_);
        }
        return write_at(descriptor_, block_, written_);
    });
    if (!done) {
        co_return propagate(done);
    }
    if (!*done) {
        co_return propagate(*done);
    }
    written_ += block_.size();
    block_.clear();
    co_return result<>{};
}

}  // namespace hearth::http
