#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/check.h"

namespace hearth::test {

// A directory of the test's own on a real disk, removed with everything in it.
class temporary_directory {
public:
    temporary_directory() : path_(std::filesystem::temp_directory_path() / "hearth-test-XXXXXX") {
        HEARTH_CHECK(::mkdtemp(path_.data()) != nullptr, "mkdtemp failed");
    }
    temporary_directory(const temporary_directory&) = delete;
    temporary_directory& operator=(const temporary_directory&) = delete;
    ~temporary_directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] std::string file(std::string_view name) const {
        return path_ + "/" + std::string(name);
    }

private:
    std::string path_;
};

}  // namespace hearth::test
