#include "aws/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

#include <openssl/evp.h>

#include "base/concat.h"

namespace hearth::aws {
namespace {

constexpr std::size_t digest_bytes = 32;

// By a format of strptime(3); what is left of `text` after it, or nothing.
std::optional<epoch_ms> parse_time(std::string_view text, const char* format,
                                   std::string_view& rest) {
    const std::string copy(text.substr(0, 64));
    std::tm parts{};
    const char* end = ::strptime(copy.c_str(), format, &parts);
    if (end == nullptr) {
        return std::nullopt;
    }
    rest = text.substr(static_cast<std::size_t>(end - copy.c_str()));
    return static_cast<epoch_ms>(::timegm(&parts)) * 1000;
}

void append_utf8(std::string& out, std::uint32_t code) {
    const auto byte = [&out](std::uint32_t value) {
        out += static_cast<char>(value);
    };
    if (code < 0x80) {
        byte(code);
    } else if (code < 0x800) {
        byte(0xC0 | (code >> 6));
        byte(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        byte(0xE0 | (code >> 12));
        byte(0x80 | ((code >> 6) & 0x3F));
        byte(0x80 | (code & 0x3F));
    } else if (code < 0x110000) {
        byte(0xF0 | (code >> 18));
        byte(0x80 | ((code >> 12) & 0x3F));
        byte(0x80 | ((code >> 6) & 0x3F));
        byte(0x80 | (code & 0x3F));
    }
}

// What stands between '&' and ';'.
bool append_entity(std::string& out, std::string_view name) {
    constexpr std::array<std::pair<std::string_view, char>, 5> named{
        {{"lt", '<'}, {"gt", '>'}, {"amp", '&'}, {"quot", '"'}, {"apos", '\''}}};
    for (const auto& [known, meaning] : named) {
        if (name == known) {
            out += meaning;
            return true;
        }
    }
    if (!name.starts_with('#')) {
        return false;
    }
    name.remove_prefix(1);
    const bool is_hex = name.starts_with('x');
    name.remove_prefix(is_hex ? 1 : 0);
    std::uint32_t code = 0;
    const auto parsed =
        std::from_chars(name.data(), name.data() + name.size(), code, is_hex ? 16 : 10);
    if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size()) {
        return false;
    }
    append_utf8(out, code);
    return true;
}

std::string xml_decode(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const auto end = text[at] == '&' ? text.find(';', at) : std::string_view::npos;
        if (end != std::string_view::npos &&
            append_entity(out, text.substr(at + 1, end - at - 1))) {
            at = end + 1;
        } else {
            out += text[at++];
        }
    }
    return out;
}

}  // namespace

std::optional<epoch_ms> parse_rfc3339(std::string_view text) {
    std::string_view rest;
    auto time = parse_time(text, "%Y-%m-%dT%H:%M:%S", rest);
    if (time && rest.starts_with('.')) {
        const auto digits_end = std::min(rest.find_first_not_of("0123456789", 1), rest.size());
        std::string millis(rest.substr(1, std::min<std::size_t>(digits_end - 1, 3)));
        millis.resize(3, '0');
        std::int64_t value = 0;
        std::from_chars(millis.data(), millis.data() + millis.size(), value);
        *time += value;
        rest.remove_prefix(digits_end);
    }
    return time && (rest == "Z" || rest == "+00:00") ? time : std::nullopt;
}

std::optional<epoch_ms> parse_http_date(std::string_view text) {
    std::string_view rest;
    auto time = parse_time(text, "%a, %d %b %Y %H:%M:%S", rest);
    return time && (rest == " GMT" || rest == " UTC") ? time : std::nullopt;
}

std::string base64_encode(std::string_view bytes) {
    std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
    const int size = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                       reinterpret_cast<const unsigned char*>(bytes.data()),
                                       static_cast<int>(bytes.size()));
    out.resize(static_cast<std::size_t>(size));
    return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
    if (text.size() % 4 != 0) {
        return std::nullopt;
    }
    std::string out(text.size() / 4 * 3, '\0');
    const int size = ::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                       reinterpret_cast<const unsigned char*>(text.data()),
                                       static_cast<int>(text.size()));
    if (size < 0) {
        return std::nullopt;
    }
    // OpenSSL counts what the padding stands for.
    const auto padding = text.ends_with("==") ? 2U : text.ends_with('=') ? 1U : 0U;
    out.resize(static_cast<std::size_t>(size) - padding);
    return out;
}

std::string sha256_raw(std::string_view bytes) {
    std::string out(digest_bytes, '\0');
    ::EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(out.data()), nullptr,
                 ::EVP_sha256(), nullptr);
    return out;
}

std::vector<std::string_view> xml_elements(std::string_view xml, std::string_view name) {
    std::vector<std::string_view> found;
    const std::string open = concat('<', name);
    const std::string close = concat("</", name, '>');
    for (std::size_t at = xml.find(open); at != std::string_view::npos; at = xml.find(open, at)) {
        at += open.size();
        const auto tag_end = xml.find('>', at);
        if (tag_end == std::string_view::npos) {
            break;
        }
        if (!std::string_view(" \t\r\n/>").contains(xml[at])) {
            continue;  // a longer name
        }
        if (xml[tag_end - 1] == '/') {
            found.emplace_back();
            at = tag_end;
            continue;
        }
        const auto end = xml.find(close, tag_end);
        if (end == std::string_view::npos) {
            break;
        }
        found.push_back(xml.substr(tag_end + 1, end - tag_end - 1));
        at = end + close.size();
    }
    return found;
}

std::optional<std::string> xml_text(std::string_view xml, std::string_view name) {
    const auto found = xml_elements(xml, name);
    return found.empty() ? std::nullopt : std::optional(xml_decode(found.front()));
}

std::string xml_escape(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '&':
                out += "&amp;";
                break;
            default:
                out += c;
        }
    }
    return out;
}

}  // namespace hearth::aws
