#include "faas/archive/names.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include <unicase.h>
#include <uninorm.h>

#include "base/json.h"
#include "faas/archive/zip_fields.h"

namespace hearth::faas {
namespace {

using zip::refuse;

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

struct free_memory {
    void operator()(void* memory) const noexcept { std::free(memory); }
};

// One text for all spellings that some file systems take for the same name.
std::string folded(std::string_view component) {
    std::string simple(component);
    if (std::ranges::all_of(component, [](char c) { return static_cast<signed char>(c) >= 0; })) {
        std::ranges::transform(simple, simple.begin(), [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        });
        return simple;
    }
    std::size_t size = 0;
    const std::unique_ptr<std::uint8_t, free_memory> text(
        ::u8_casefold(reinterpret_cast<const std::uint8_t*>(component.data()), component.size(),
                      nullptr, UNINORM_NFC, nullptr, &size));
    // Without memory two spellings may pass for two names, which they are on this host.
    return text == nullptr ? simple : std::string(reinterpret_cast<const char*>(text.get()), size);
}

}  // namespace

std::string shown_name(std::string_view name) {
    constexpr std::size_t shown_bytes_max = 80;
    const bool readable = name.size() <= shown_bytes_max && json::is_valid_utf8(name);
    std::string text(name.substr(0, shown_bytes_max));
    std::erase_if(text, [&](char c) {
        return is_control(c) || (!readable && static_cast<signed char>(c) < 0);
    });
    return text.size() < name.size() ? text + "…" : text;
}

result<> check_name(std::string_view name) {
    if (name.empty() || name.size() > archive_name_bytes_max) {
        return refuse(concat("an entry's name is empty or over ", archive_name_bytes_max,
                             " bytes. Rename it"));
    }
    if (!json::is_valid_utf8(name) || std::ranges::any_of(name, is_control)) {
        return refuse(concat("entry \"", shown_name(name),
                             "\" has a name that is not plain UTF-8. Rename it"));
    }
    if (name.front() == '/' || name.contains('\\')) {
        return refuse(concat("entry \"", shown_name(name),
                             "\" has an absolute or foreign path. Pack with relative paths and "
                             "'/' between folders"));
    }
    std::size_t depth = 0;
    std::string_view rest = name.ends_with('/') ? name.substr(0, name.size() - 1) : name;
    while (true) {
        const std::size_t slash = rest.find('/');
        const std::string_view component = rest.substr(0, slash);
        if (component.empty() || component == "." || component == "..") {
            return refuse(concat("entry \"", shown_name(name),
                                 "\" leaves its folder. Pack with plain relative paths"));
        }
        if (component.size() > archive_component_bytes_max || ++depth > archive_depth_max) {
            return refuse(concat("entry \"", shown_name(name), "\" is nested deeper than ",
                                 archive_depth_max, " or a part of its path is over ",
                                 archive_component_bytes_max, " bytes. Rename it"));
        }
        if (slash == std::string_view::npos) {
            return {};
        }
        rest.remove_prefix(slash + 1);
    }
}

result<> name_tree::check_again(const node& known, std::string_view component,
                                std::string_view name, bool last, bool folder) {
    if (known.spelled != component) {
        return refuse(concat("\"", shown_name(component), "\" and \"", shown_name(known.spelled),
                             "\" differ in case or Unicode form only, so that many systems take "
                             "them for one. Rename one"));
    }
    const bool twice = last && known.named && (folder || known.file);
    if (twice || (last && folder && known.file)) {
        return refuse(concat("entry \"", shown_name(name), "\" stands twice. Remove one"));
    }
    if (last ? !folder : known.file) {
        return refuse(concat("\"", shown_name(name), "\": \"", shown_name(component),
                             "\" is a file and a folder. Rename one"));
    }
    return {};
}

result<> name_tree::add(std::string_view name) {
    const bool folder = name.ends_with('/');
    const std::string_view path = folder ? name.substr(0, name.size() - 1) : name;
    std::uint32_t parent = 0;
    for (std::size_t begin = 0; begin <= path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const bool last = end == path.size();
        const std::string_view component = path.substr(begin, end - begin);
        const auto [place, added] = nodes_.try_emplace(key{parent, folded(component)});
        node& here = place->second;
        if (!added) {
            if (auto valid = check_again(here, component, name, last, folder); !valid) {
                return valid;
            }
        } else {
            here = {.id = static_cast<std::uint32_t>(nodes_.size()),
                    .spelled = std::string(component),
                    .file = last && !folder};
            if (!here.file) {
                folders_.emplace_back(path.substr(0, end));
            }
        }
        here.named |= last;
        parent = here.id;
        begin = end + 1;
    }
    return {};
}

}  // namespace hearth::faas
