#include "sandbox/options.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "base/concat.h"

namespace hearth::sandbox {
namespace {

template <class T>
bool parse_number(std::string_view text, T low, T high, T& out) {
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), out);
    return status == std::errc() && end == text.data() + text.size() && out >= low && out <= high;
}

// The name becomes part of a cgroup's.
bool is_instance_name(std::string_view text) {
    return !text.empty() && text.size() <= instance_name_max &&
           std::ranges::all_of(text, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
           });
}

// Python checks them; this keeps out what could not be one.
bool are_module_names(std::string_view text) {
    return text.size() <= zygote_modules_bytes_max && std::ranges::all_of(text, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '.' || c == ',';
           });
}

// Only what the root template shows can be executed inside.
bool is_python_path(std::string_view text) {
    return text.starts_with("/usr/") && text.find("..") == std::string_view::npos;
}

bool parse_mode(std::string_view text, zygote_mode& out) {
    for (const zygote_mode each :
         {zygote_mode::off, zygote_mode::shared, zygote_mode::per_function}) {
        if (text == name_of(each)) {
            out = each;
            return true;
        }
    }
    return false;
}

bool accept_zygotes(daemon_options& options, std::string_view name, const std::string& value) {
    if (name == "--zygote") {
        return parse_mode(value, options.zygote);
    }
    if (name == "--zygote-forks") {
        return parse_number(value, std::uint32_t{1}, zygote_forks_max, options.zygote_forks);
    }
    if (name == "--zygote-minutes") {
        return parse_number(value, std::uint32_t{1}, zygote_minutes_max, options.zygote_minutes);
    }
    if (name == "--zygote-spares") {
        return parse_number(value, std::uint32_t{0}, zygote_spares_max, options.zygote_spares);
    }
    if (name == "--zygote-functions") {
        return parse_number(value, std::uint32_t{1}, zygote_functions_max,
                            options.zygote_functions);
    }
    if (name == "--zygote-idle-seconds") {
        return parse_number(value, std::uint32_t{1}, zygote_idle_seconds_max,
                            options.zygote_idle_seconds);
    }
    if (name == "--zygote-modules") {
        options.zygote_modules = value;
        return are_module_names(value);
    }
    return false;
}

bool accept(daemon_options& options, std::string_view name, const std::string& value) {
    if (name == "--socket-fd") {
        return parse_number(value, 3, 1023, options.socket);
    }
    if (name == "--slots") {
        return parse_number(value, std::uint32_t{1}, slots_max, options.slots);
    }
    if (name == "--parked") {
        return parse_number(value, std::uint32_t{0}, parked_max, options.parked);
    }
    if (name == "--shells") {
        return parse_number(value, std::uint32_t{0}, shells_max, options.shells);
    }
    if (name.starts_with("--zygote")) {
        return accept_zygotes(options, name, value);
    }
    if (name == "--numpy-modules") {
        options.numpy_modules = value;
        return are_module_names(value);
    }
    if (name == "--host-ids") {
        options.ids.source = value == "ranges" ? id_source::ranges : id_source::own;
        return value == "ranges" || value == "own";
    }
    if (name == "--instance") {
        options.instance = value;
        return is_instance_name(value);
    }
    if (name == "--runtime-dir") {
        options.runtime_dir = value;
        return value.starts_with('/');
    }
    if (name == "--python") {
        options.python = value;
        return is_python_path(value);
    }
    return false;
}

}  // namespace

result<daemon_options> parse_daemon_options(std::span<char* const> arguments) {
    daemon_options options;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        const std::string_view name(arguments[i]);
        if (name == "--allow-no-limits") {
            options.allow_no_limits = true;
            continue;
        }
        if (name == "--trace") {
            options.trace = true;
            continue;
        }
        if (i + 1 == arguments.size() || !accept(options, name, arguments[i + 1])) {
            return fail(errc::invalid_argument, concat("bad argument ", name));
        }
        ++i;
    }
    if (options.socket < 0 || options.instance.empty() || options.runtime_dir.empty()) {
        return fail(
            errc::invalid_argument,
            "usage: hearth-sandboxd --socket-fd N --instance NAME --runtime-dir DIR "
            "[--slots N] [--parked N] [--shells N] [--zygote shared|per-function|off] "
            "[--zygote-forks N] [--zygote-minutes N] [--zygote-modules A,B] "
            "[--zygote-spares N] [--zygote-functions N] [--zygote-idle-seconds N] "
            "[--numpy-modules A,B] [--python /usr/...] [--allow-no-limits] [--trace]; it is "
            "started by a worker");
    }
    return options;
}

}  // namespace hearth::sandbox
