#pragma once

#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "coro/thread_pool.h"
#include "faas/ports.h"

namespace hearth::embedded {

// Code as files <directory>/<sha256>, mode 0600. A file is written under <directory>/tmp, checked
// against its hash, synced and renamed, so that a name in the directory always holds its whole
// content. open() reads the content once and checks the hash again (0.7 ms per MB with SHA
// instructions): damage on the disk is errc::corrupt, never code that runs, and storing the same
// content again heals it.
//
// The work happens on `pool`. Deadlines are looked at between blocks of block_bytes; a put that is
// given up leaves nothing. Any thread that runs an executor.
class code_store final : public faas::code_store {
public:
    static constexpr std::size_t block_bytes = 256u << 10;

    // Makes the directory (its parent must exist) and removes what an earlier process left half
    // written. Blocks; for start-up. `pool` outlives this.
    [[nodiscard]] static result<std::unique_ptr<code_store>> open(const std::string& directory,
                                                                  thread_pool& pool);

    task<result<>> put(std::string_view sha256, int file, std::size_t size,
                       deadline until) override;
    task<result<unique_fd>> open(std::string_view sha256, deadline until) override;
    task<result<>> remove(std::string_view sha256, deadline until) override;
    task<result<std::vector<stored>>> list(std::string_view after, std::size_t limit,
                                           deadline until) override;

private:
    code_store(std::string directory, unique_fd final_files, unique_fd half_written,
               thread_pool& pool) noexcept;

    [[nodiscard]] result<> put_now(std::string_view sha256, int file, std::size_t size,
                                   deadline until) const;
    [[nodiscard]] result<> write_file(const std::string& name, std::string_view sha256, int file,
                                      std::size_t size, deadline until) const;
    [[nodiscard]] result<unique_fd> open_now(std::string_view sha256, deadline until) const;
    [[nodiscard]] result<> remove_now(std::string_view sha256) const;
    [[nodiscard]] result<std::vector<stored>> list_now(std::string_view after,
                                                       std::size_t limit) const;
    [[nodiscard]] std::unexpected<error> failure(std::string_view what, int os_error) const;

    std::string directory_;
    unique_fd final_files_;   // <directory>
    unique_fd half_written_;  // <directory>/tmp
    thread_pool& pool_;
};

}  // namespace hearth::embedded
