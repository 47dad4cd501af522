#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

struct redisReply;

namespace hearth::redis {

// One value of a reply; a view into it. Valid while the reply lives.
class value {
public:
    explicit value(const redisReply* from) noexcept : from_(from) {}

    [[nodiscard]] bool is_nil() const noexcept;
    [[nodiscard]] bool is_error() const noexcept;
    // Of a string, a status or an error; empty otherwise.
    [[nodiscard]] std::string_view text() const noexcept;
    // Of an integer; 0 otherwise.
    [[nodiscard]] std::int64_t integer() const noexcept;
    // Of an array; 0 otherwise.
    [[nodiscard]] std::size_t size() const noexcept;
    // `index` below size().
    [[nodiscard]] value operator[](std::size_t index) const noexcept;

private:
    const redisReply* from_;
};

// What the server answered to one command. Owns its memory.
class reply {
public:
    explicit reply(redisReply* owned) noexcept : owned_(owned) {}

    [[nodiscard]] value get() const noexcept { return value(owned_.get()); }

private:
    struct free_reply {
        void operator()(redisReply* owned) const noexcept;
    };
    std::unique_ptr<redisReply, free_reply> owned_;
};

}  // namespace hearth::redis
