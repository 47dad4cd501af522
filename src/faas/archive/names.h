#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace hearth::faas {

// Names in archives. What is taken is a relative path of plain components in UTF-8, and no two
// entries may be one file anywhere: not on this host, and not where case or Unicode's normal form
// does not count, or what was reviewed there is not what runs here.

inline constexpr std::size_t archive_name_bytes_max = 1024;
inline constexpr std::size_t archive_component_bytes_max = 255;  // NAME_MAX
inline constexpr std::size_t archive_depth_max = 32;

// For messages: cut, and without what a terminal would act on.
[[nodiscard]] std::string shown_name(std::string_view name);

// A folder's name ends with '/'. errc::invalid_argument.
[[nodiscard]] result<> check_name(std::string_view name);

// The files and folders that an archive makes.
class name_tree {
public:
    // `name` has passed check_name. errc::invalid_argument when it, or what it would be where case
    // does not count, is there already, or when it makes one path a file and a folder.
    [[nodiscard]] result<> add(std::string_view name);

    // Every folder, named or implied, without the '/'; parents first.
    [[nodiscard]] const std::vector<std::string>& folders() const noexcept { return folders_; }

private:
    struct node {
        std::uint32_t id = 0;
        std::string spelled;
        bool file = false;
        bool named = false;  // by an entry of its own
    };
    using key = std::pair<std::uint32_t, std::string>;  // parent, folded component

    [[nodiscard]] static result<> check_again(const node& known, std::string_view component,
                                              std::string_view name, bool last, bool folder);

    std::map<key, node> nodes_;
    std::vector<std::string> folders_;
};

}  // namespace hearth::faas
