#include "worker/code_cache.h"

#include <filesystem>

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/log.h"
#include "worker/remove_tree.h"

namespace hearth::worker {
namespace {

void discard(int folder, const std::string& name) {
    if (auto removed = remove_tree(folder, name); !removed) {
        log::warning("cannot remove unpacked code",
                     {{"name", name}, {"reason", removed.error().message}});
    }
}

// One source file under its own name, because its stem is the module's name.
result<std::size_t> place_file(int code, int directory, const std::string& file_name) {
    const unique_fd file(::openat(directory, file_name.c_str(),
                                  O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!file) {
        return fail_errno("cannot write the function's code");
    }
    std::size_t total = 0;
    for (;;) {
        const ssize_t count = ::sendfile(file.get(), code, nullptr, 1 << 20);
        if (count < 0) {
            return fail_errno("cannot write the function's code");
        }
        if (count == 0) {
            return total;
        }
        total += static_cast<std::size_t>(count);
    }
}

// A folder for code, under a name of its own until it is complete.
std::string temporary_name(const std::string& name) {
    return concat("unpacking-", name);
}

result<unique_fd> make_folder(int folder, const std::string& name) {
    const std::string temporary = temporary_name(name);
    discard(folder, temporary);
    constexpr mode_t mode = 0755;
    if (::mkdirat(folder, temporary.c_str(), mode) != 0) {
        return fail_errno("cannot make a folder for the function's code");
    }
    unique_fd directory(
        ::openat(folder, temporary.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!directory) {
        return fail_errno("cannot open the folder for the function's code");
    }
    return directory;
}

// Renames what is complete, so that a name that exists is; removes anything else.
result<code_directory> finish_folder(int folder, const std::string& name,
                                     result<std::size_t>& size) {
    const std::string temporary = temporary_name(name);
    if (!size) {
        discard(folder, temporary);
        return propagate(size);
    }
    if (::renameat(folder, temporary.c_str(), folder, name.c_str()) != 0) {
        return fail_errno("cannot rename the function's code");
    }
    unique_fd path(::openat(folder, name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!path) {
        return fail_errno("cannot open the function's code");
    }
    return code_directory{std::move(path), name, *size};
}

}  // namespace

result<std::unique_ptr<code_cache>> code_cache::create(const std::string& folder,
                                                       faas::code_store& store,
                                                       faas::archive_intake& archives,
                                                       thread_pool& blocking,
                                                       std::size_t bytes_max) {
    unique_fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) {
        return fail_errno(concat("cannot open the code cache ", folder));
    }
    std::error_code failed;
    for (const auto& each : std::filesystem::directory_iterator(folder, failed)) {
        discard(fd.get(), each.path().filename().string());
    }
    if (failed) {
        return fail(errc::io,
                    concat("cannot empty the code cache ", folder, ": ", failed.message()));
    }
    return std::unique_ptr<code_cache>(
        new code_cache(std::move(fd), store, archives, blocking, bytes_max));
}

task<result<std::shared_ptr<const code_directory>>> code_cache::get(const faas::function& target,
                                                                    deadline until) {
    const std::string name = target.kind == faas::code_kind::zip
                                 ? target.code_sha256
                                 : concat(target.code_sha256, "-", target.code_file);
    if (const auto found = entries_.find(name); found != entries_.end()) {
        const shared_entry held = found->second;
        by_use_.splice(by_use_.begin(), by_use_, held->used);
        auto done = co_await held->done.wait(until);
        if (!done) {
            co_return propagate(done);
        }
        co_return held->content;
    }
    ++misses_;
    by_use_.push_front(name);
    const auto made = std::make_shared<entry>();
    made->used = by_use_.begin();
    entries_.emplace(name, made);
    made->content = co_await fetch(target, name, until);
    // A copy: evict() takes what nobody holds, also when this alone is more than the limit.
    auto content = made->content;
    if (content) {
        bytes_ += (*content)->bytes;
    } else {
        by_use_.erase(made->used);
        entries_.erase(name);  // the next call tries again
    }
    made->done.set();
    co_await evict();
    co_return content;
}

task<result<std::shared_ptr<const code_directory>>> code_cache::fetch(const faas::function& target,
                                                                      const std::string& name,
                                                                      deadline until) {
    auto code = co_await store_.open(target.code_sha256, until);
    if (!code) {
        co_return propagate(code);
    }
    auto directory = co_await blocking_.run([&] { return make_folder(folder_.get(), name); });
    if (!directory) {
        co_return propagate(directory);
    }
    if (!*directory) {
        co_return propagate(*directory);
    }
    auto size = co_await fill(target, code->get(), (*directory)->get());
    auto finished =
        co_await blocking_.run([&] { return finish_folder(folder_.get(), name, size); });
    if (!finished) {
        co_return propagate(finished);
    }
    if (!*finished) {
        co_return propagate(*finished);
    }
    co_return std::make_shared<const code_directory>(std::move(**finished));
}

// Not until a caller's deadline: the code is for all who wait, and the next would begin again.
task<result<std::size_t>> code_cache::fill(const faas::function& target, int code, int directory) {
    if (target.kind == faas::code_kind::zip) {
        auto unpacked = co_await archives_.unpack(code, directory, never);
        if (!unpacked) {
            co_return propagate(unpacked);
        }
        co_return unpacked->unpacked_bytes;
    }
    auto placed =
        co_await blocking_.run([&] { return place_file(code, directory, target.code_file); });
    if (!placed) {
        co_return propagate(placed);
    }
    co_return std::move(*placed);
}

task<void> code_cache::evict() {
    const auto over = [this] {
        return bytes_ > bytes_max_ || entries_.size() > entries_max;
    };
    for (auto each = by_use_.end(); over() && each != by_use_.begin();) {
        --each;
        const auto found = entries_.find(*each);
        const shared_entry& oldest = found->second;
        // A getter that was woken but has not resumed yet holds the entry, not its content.
        if (!oldest->done.is_set() || oldest.use_count() > 1 || oldest->content->use_count() > 1) {
            continue;
        }
        bytes_ -= (*oldest->content)->bytes;
        const std::string name = *each;
        entries_.erase(found);
        each = by_use_.erase(each);
        // Out of the way first, so that a new call can unpack the same code meanwhile.
        const std::string trash = concat("removing-", ++removals_, "-", name);
        ::renameat(folder_.get(), name.c_str(), folder_.get(), trash.c_str());
        auto removed = co_await blocking_.run([&] {
            discard(folder_.get(), trash);
            return true;
        });
        if (!removed) {
            log::warning("unpacked code stays until the next start", {{"name", trash}});
        }
        each = by_use_.end();  // the list may have changed meanwhile
    }
}

}  // namespace hearth::worker
