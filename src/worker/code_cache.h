#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/result.h"
#include "base/unique_fd.h"
#include "coro/event.h"
#include "coro/task.h"
#include "coro/thread_pool.h"
#include "faas/archive_intake.h"
#include "faas/ports.h"

namespace hearth::worker {

// A function's code, unpacked on this host. Immutable while anybody holds it.
struct code_directory {
    unique_fd descriptor;  // O_PATH
    std::string name;      // in the cache's folder
    std::size_t bytes = 0;
};

// Unpacked code by content: fetched and unpacked once however many wait for it, kept within a byte
// limit and a number of entries by dropping what was used longest ago and nobody holds. Its folder
// is private to the worker, begins empty, and is never written by a sandbox. Ring thread only; the
// blocking part runs in the pool.
class code_cache {
public:
    static constexpr std::size_t bytes_max_default = 2ull << 30;
    // Each entry keeps a descriptor open.
    static constexpr std::size_t entries_max = 512;

    // `folder` exists and is emptied here. `archives` unpacks, elsewhere.
    [[nodiscard]] static result<std::unique_ptr<code_cache>> create(const std::string& folder,
                                                                    faas::code_store& store,
                                                                    faas::archive_intake& archives,
                                                                    thread_pool& blocking,
                                                                    std::size_t bytes_max);

    task<result<std::shared_ptr<const code_directory>>> get(const faas::function& target,
                                                            deadline until);

    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::size_t entries() const noexcept { return entries_.size(); }
    [[nodiscard]] std::uint64_t misses() const noexcept { return misses_; }

private:
    struct entry {
        event done;
        result<std::shared_ptr<const code_directory>> content =
            fail(errc::internal, "the code was not fetched");
        std::list<std::string>::iterator used;
    };
    using shared_entry = std::shared_ptr<entry>;

    code_cache(unique_fd folder, faas::code_store& store, faas::archive_intake& archives,
               thread_pool& blocking, std::size_t bytes_max)
        : folder_(std::move(folder)),
          store_(store),
          archives_(archives),
          blocking_(blocking),
          bytes_max_(bytes_max) {}
    task<result<std::shared_ptr<const code_directory>>> fetch(const faas::function& target,
                                                              const std::string& name,
                                                              deadline until);
    task<result<std::size_t>> fill(const faas::function& target, int code, int directory);
    task<void> evict();

    unique_fd folder_;
    faas::code_store& store_;
    faas::archive_intake& archives_;
    thread_pool& blocking_;
    std::size_t bytes_max_;
    std::size_t bytes_ = 0;
    std::uint64_t misses_ = 0;
    std::uint64_t removals_ = 0;  // gives each folder on its way out a name of its own
    std::unordered_map<std::string, shared_entry> entries_;
    std::list<std::string> by_use_;  // most recent first
};

}  // namespace hearth::worker
