#include "worker/remove_tree.h"

#include <cerrno>
#include <memory>
#include <string_view>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/unique_fd.h"

namespace hearth::worker {
namespace {

struct close_directory {
    void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

int open_folder(int at, const char* name) {
    return ::openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

// Calls `each(name)` for the entries of a folder until one fails.
template <class Each>
result<> for_each_name(int folder, Each each) {
    const int own = open_folder(folder, ".");
    const std::unique_ptr<DIR, close_directory> stream(own < 0 ? nullptr : ::fdopendir(own));
    if (stream == nullptr) {
        return fail_errno("listing a folder");
    }
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(stream.get());
        if (entry == nullptr) {
            return errno == 0 ? result<>() : result<>(fail_errno("listing a folder"));
        }
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") {
            if (auto done = each(entry->d_name); !done) {
                return done;
            }
        }
    }
}

// Removes anything but a folder; true when it was one.
result<bool> unlink_or_folder(int folder, const char* name) {
    if (::unlinkat(folder, name, 0) == 0) {
        return false;
    }
    if (errno != EISDIR) {
        return fail_errno("unlink");
    }
    return true;
}

// Empties the folder `name` in `top` by moving the folders in it up to `top`.
result<> flatten(int top, const char* name, std::size_t& moved) {
    const unique_fd folder(open_folder(top, name));
    if (!folder) {
        return fail_errno("opening a folder");
    }
    return for_each_name(folder.get(), [&](const char* below) -> result<> {
        const auto is_folder = unlink_or_folder(folder.get(), below);
        if (!is_folder) {
            return std::unexpected(is_folder.error());
        }
        if (!*is_folder || ::unlinkat(folder.get(), below, AT_REMOVEDIR) == 0) {
            return {};
        }
        // Names beside it may be any, so until one is free.
        for (;;) {
            const std::string free = concat(++moved);
            if (::renameat(folder.get(), below, top, free.c_str()) == 0) {
                return {};
            }
            if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) {
                return fail_errno("moving a folder");
            }
        }
    });
}

// One round removes what is in `top` now and may move more there; true when it was empty.
result<bool> empty_once(int top, std::size_t& moved) {
    bool empty = true;
    auto done = for_each_name(top, [&](const char* name) -> result<> {
        empty = false;
        const auto is_folder = unlink_or_folder(top, name);
        if (!is_folder) {
            return std::unexpected(is_folder.error());
        }
        if (!*is_folder || ::unlinkat(top, name, AT_REMOVEDIR) == 0) {
            return {};
        }
        if (auto flat = flatten(top, name, moved); !flat) {
            return flat;
        }
        return ::unlinkat(top, name, AT_REMOVEDIR) == 0 ? result<>()
                                                        : result<>(fail_errno("rmdir"));
    });
    if (!done) {
        return propagate(done);
    }
    return empty;
}

}  // namespace

result<> remove_tree(int folder, const std::string& name) {
    if (::unlinkat(folder, name.c_str(), 0) == 0 || errno == ENOENT) {
        return {};
    }
    if (errno != EISDIR) {
        return fail_errno(concat("cannot remove ", name));
    }
    const unique_fd top(open_folder(folder, name.c_str()));
    if (!top) {
        return fail_errno(concat("cannot open ", name));
    }
    std::size_t moved = 0;
    for (;;) {
        auto empty = empty_once(top.get(), moved);
        if (!empty) {
            return propagate(empty);
        }
        if (*empty) {
            break;
        }
    }
    if (::unlinkat(folder, name.c_str(), AT_REMOVEDIR) != 0) {
        return fail_errno(concat("cannot remove ", name));
    }
    return {};
}

}  // namespace hearth::worker
