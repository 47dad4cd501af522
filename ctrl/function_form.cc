#include "ctrl/function_form.h"

#include <algorithm>
#include <charconv>
#include <memory>

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/ids.h"
#include "base/json.h"
#include "http/multipart.h"

namespace hearth::ctrl {
namespace {

constexpr std::size_t block_bytes = 256 << 10;  // written and hashed per turn of the thread pool
constexpr std::size_t file_name_bytes_max = 128;
constexpr seconds upload_wait{600};

std::unexpected<error> invalid(std::string message) {
    return fail(errc::invalid_argument, std::move(message));
}

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_identifier(std::string_view text) {
    return !text.empty() && is_letter(text.front()) &&
           std::ranges::all_of(text, [](char c) { return is_letter(c) || is_digit(c); });
}

result<> check_name(std::string_view name) {
    const bool valid =
        !name.empty() && name.size() <= faas::name_bytes_max &&
        std::ranges::all_of(name, [](char c) { return is_letter(c) || is_digit(c) || c == '-'; });
    if (!valid) {
        return invalid(concat("Invalid name. Must be 1 to ", faas::name_bytes_max,
                              " letters, digits, '-' or '_'."));
    }
    return {};
}

// Dotted identifiers, at least two; '/' may stand for the dots before the last.
result<> check_handler(std::string_view handler) {
    std::size_t parts = 0;
    bool valid = handler.size() <= faas::handler_bytes_max;
    for (std::string_view rest = handler; valid;) {
        const std::size_t end = rest.find_first_of("./");
        valid = is_identifier(rest.substr(0, end));
        ++parts;
        if (end == std::string_view::npos) {
            break;
        }
        rest.remove_prefix(end + 1);
    }
    const std::size_t dot = handler.rfind('.');
    valid = valid && parts >= 2 && dot != std::string_view::npos &&
            handler.find('/', dot) == std::string_view::npos;
    if (!valid) {
        return invalid("Invalid handler. Must be module.function, for example main.handler.");
    }
    return {};
}

result<std::int64_t> parse_number(std::string_view text, std::string_view name, std::int64_t least,
                                  std::int64_t most) {
    std::int64_t value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc() || end != text.data() + text.size() || value < least ||
        value > most) {
        return invalid(concat("Invalid ", name, ". Must be between ", least, " and ", most, "."));
    }
    return value;
}

result<> check_variable(std::string_view name, std::string_view value) {
    if (!is_identifier(name)) {
        return invalid(concat("Invalid env: \"", name.substr(0, 64),
                              "\" is not a name of letters, digits and '_'."));
    }
    if (value.contains('\0')) {
        return invalid(concat("Invalid env: ", name, " contains a NUL character."));
    }
    return {};
}

result<faas::environment> parse_environment(simdjson::dom::element from) {
    simdjson::dom::object object;
    if (from.get(object) != simdjson::SUCCESS) {
        return invalid("Invalid env. Must be a JSON object of strings.");
    }
    faas::environment env;
    std::size_t size = 0;
    for (const auto [name, value] : object) {
        std::string_view text;
        if (value.get(text) != simdjson::SUCCESS) {
            return invalid(concat("Invalid env: ", name.substr(0, 64), " is not a string."));
        }
        if (auto checked = check_variable(name, text); !checked) {
            return propagate(checked);
        }
        size += name.size() + text.size();
        env.emplace_back(name, text);
    }
    if (size > faas::environment_bytes_max) {
        return fail(errc::too_large,
                    concat("Invalid env. Names and values together must be at most ",
                           faas::environment_bytes_max, " bytes."));
    }
    return env;
}

result<> set_environment(function_form& form, std::string_view text) {
    auto parsed = json::document::parse(text);
    if (!parsed) {
        return invalid("Invalid env. Must be a JSON object of strings.");
    }
    auto env = parse_environment(parsed->root());
    if (!env) {
        return propagate(env);
    }
    form.env = std::move(*env);
    return {};
}

// The file's name decides what it is, and a .py file's stem is its module's name.
result<function_form::code> begin_code(std::string_view file_name,
                                       const std::string& temporary_folder) {
    function_form::code code;
    code.file_name = file_name;
    if (file_name.ends_with(".zip")) {
        code.kind = faas::code_kind::zip;
    } else if (!file_name.ends_with(".py")) {
        return invalid("Invalid file. Upload a .py or a .zip file.");
    } else if (!is_identifier(file_name.substr(0, file_name.size() - 3))) {
        return invalid(
            "Invalid file name. A .py file is imported under its name, which must be letters, "
            "digits "
            "and '_', not beginning with a digit.");
    }
    if (file_name.size() > file_name_bytes_max) {
        return invalid(concat("Invalid file name. At most ", file_name_bytes_max, " bytes."));
    }
    code.file = unique_fd(
        ::open(temporary_folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (!code.file) {
        return fail_errno("cannot make a temporary file for the upload");
    }
    return code;
}

struct digest_deleter {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};

// Collects a file part: blocks of it are written and hashed on the thread pool.
class code_writer {
public:
    code_writer(function_form::code& code, thread_pool& blocking)
        : code_(code), blocking_(blocking), digest_(EVP_MD_CTX_new()) {
        block_.reserve(block_bytes);
        EVP_DigestInit_ex(digest_.get(), EVP_sha256(), nullptr);
    }

    task<result<>> add(std::span<const std::byte> bytes) {
        if (code_.size + block_.size() + bytes.size() > faas::code_bytes_max) {
            co_return fail(errc::too_large, concat("The file is over the limit of ",
                                                   faas::code_bytes_max >> 20, " MB."));
        }
        block_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        if (block_.size() < block_bytes) {
            co_return result<>{};
        }
        co_return co_await flush();
    }

    task<result<>> finish() {
        auto flushed = co_await flush();
        if (flushed) {
            std::array<std::byte, 32> hash;
            EVP_DigestFinal_ex(digest_.get(), reinterpret_cast<unsigned char*>(hash.data()),
                               nullptr);
            code_.sha256 = to_hex(hash);
        }
        co_return flushed;
    }

private:
    task<result<>> flush() {
        auto written = co_await blocking_.run([this]() -> result<> {
            EVP_DigestUpdate(digest_.get(), block_.data(), block_.size());
            for (std::size_t done = 0; done < block_.size();) {
                const ssize_t count =
                    ::pwrite(code_.file.get(), block_.data() + done, block_.size() - done,
                             static_cast<off_t>(code_.size + done));
                if (count < 0) {
                    return fail_errno("cannot store the upload");
                }
                done += static_cast<std::size_t>(count);
            }
            return {};
        });
        if (!written) {
            co_return propagate(written);
        }
        code_.size += block_.size();
        block_.clear();
        co_return std::move(*written);
    }

    function_form::code& code_;
    thread_pool& blocking_;
    std::unique_ptr<EVP_MD_CTX, digest_deleter> digest_;
    std::string block_;
};

// Follows the parser's events into a form.
class form_reader {
public:
    form_reader(std::string_view boundary, std::string temporary_folder, thread_pool& blocking)
        : parser_(boundary), temporary_folder_(std::move(temporary_folder)), blocking_(blocking) {}

    [[nodiscard]] bool finished() const { return parser_.finished(); }

    // Takes all of `input`.
    task<result<>> feed(std::span<const std::byte> input) {
        using kind = http::multipart_parser::event_kind;
        for (;;) {
            auto event = parser_.next(input);
            if (!event) {
                co_return propagate(event);
            }
            result<> handled;
            switch (event->kind) {
                case kind::need_input:
                case kind::finished:
                    co_return result<>{};
                case kind::part_begin:
                    handled = begin_part();
                    break;
                case kind::data:
                    if (writer_ != nullptr) {
                        handled = co_await writer_->add(event->data);
                    } else {
                        field_.append(reinterpret_cast<const char*>(event->data.data()),
                                      event->data.size());
                    }
                    break;
                case kind::part_end:
                    if (writer_ != nullptr) {
                        handled = co_await writer_->finish();
                        writer_.reset();
                    } else {
                        handled = set_field(form, parser_.part().name, field_);
                    }
                    break;
            }
            if (!handled) {
                co_return handled;
            }
        }
    }

    function_form form;

private:
    result<> begin_part() {
        field_.clear();
        const auto& part = parser_.part();
        if (part.name != "file") {
            return {};
        }
        if (!part.filename) {
            return invalid("The part \"file\" needs a file name: -F file=@hello.py");
        }
        if (form.upload) {
            return invalid("The part \"file\" stands twice.");
        }
        auto code = begin_code(*part.filename, temporary_folder_);
        if (!code) {
            return propagate(code);
        }
        form.upload = std::move(*code);
        writer_ = std::make_unique<code_writer>(*form.upload, blocking_);
        return {};
    }

    http::multipart_parser parser_;
    std::string temporary_folder_;
    thread_pool& blocking_;
    std::unique_ptr<code_writer> writer_;
    std::string field_;
};

}  // namespace

result<> set_field(function_form& form, std::string_view name, std::string_view text) {
    result<> checked;
    if (name == "name") {
        checked = check_name(text);
        form.name = text;
    } else if (name == "handler") {
        checked = check_handler(text);
        form.handler = text;
    } else if (name == "runtime") {
        if (text != faas::python_runtime && text != faas::numpy_runtime) {
            return invalid("Invalid runtime. Must be python or python-numpy.");
        }
        form.runtime = text;
    } else if (name == "memoryMb") {
        auto value = parse_number(text, name, faas::memory_mb_min, faas::memory_mb_max);
        form.memory_mb = value.value_or(0);
        checked = value ? result<>{} : propagate(value);
    } else if (name == "timeoutMs") {
        auto value = parse_number(text, name, faas::timeout_ms_min, faas::timeout_ms_max);
        form.timeout_ms = value.value_or(0);
        checked = value ? result<>{} : propagate(value);
    } else if (name == "revision") {
        auto value = parse_number(text, name, 1, INT64_MAX);
        form.expected_revision = value.value_or(0);
        checked = value ? result<>{} : propagate(value);
    } else if (name == "env") {
        checked = set_environment(form, text);
    } else {
        return invalid(concat("Unknown field \"", name.substr(0, 64),
                              "\". Known: file, name, handler, runtime, memoryMb, timeoutMs, env, "
                              "revision."));
    }
    return checked;
}

task<result<function_form>> read_multipart_form(http::request& from, std::string boundary,
                                                std::string temporary_folder,
                                                thread_pool& blocking) {
    form_reader reader(boundary, std::move(temporary_folder), blocking);
    const deadline until = after(upload_wait);
    for (;;) {
        auto bytes = co_await from.body().read(until);
        if (!bytes) {
            co_return propagate(bytes);
        }
        if (bytes->empty()) {
            break;
        }
        if (auto fed = co_await reader.feed(*bytes); !fed) {
            co_return propagate(fed);
        }
    }
    if (!reader.finished()) {
        co_return invalid("The form ends before its closing boundary.");
    }
    co_return std::move(reader.form);
}

result<function_form> parse_json_form(std::string_view body) {
    auto parsed = json::document::parse(body);
    if (!parsed) {
        return propagate(parsed);
    }
    simdjson::dom::object object;
    if (parsed->root().get(object) != simdjson::SUCCESS) {
        return invalid("The body must be a JSON object.");
    }
    function_form form;
    for (const auto [name, value] : object) {
        std::string_view text;
        std::int64_t number = 0;
        result<> set;
        if (name == "env") {
            auto env = parse_environment(value);
            set = env ? result<>{} : propagate(env);
            form.env = std::move(env).value_or(faas::environment{});
        } else if (value.get(text) == simdjson::SUCCESS) {
            set = set_field(form, name, text);
        } else if (value.get(number) == simdjson::SUCCESS) {
            set = set_field(form, name, std::to_string(number));
        } else {
            return invalid(
                concat("Invalid ", name.substr(0, 64), ". Must be a string or an integer."));
        }
        if (!set) {
            return propagate(set);
        }
    }
    return form;
}

}  // namespace hearth::ctrl
