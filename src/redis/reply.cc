#include "redis/reply.h"

#include <hiredis/hiredis.h>

namespace hearth::redis {

bool value::is_nil() const noexcept {
    return from_->type == REDIS_REPLY_NIL;
}

bool value::is_error() const noexcept {
    return from_->type == REDIS_REPLY_ERROR;
}

std::string_view value::text() const noexcept {
    switch (from_->type) {
        case REDIS_REPLY_STRING:
        case REDIS_REPLY_STATUS:
        case REDIS_REPLY_ERROR:
            return {from_->str, from_->len};
        default:
            return {};
    }
}

std::int64_t value::integer() const noexcept {
    return from_->type == REDIS_REPLY_INTEGER ? from_->integer : 0;
}

std::size_t value::size() const noexcept {
    return from_->type == REDIS_REPLY_ARRAY ? from_->elements : 0;
}

value value::operator[](std::size_t index) const noexcept {
    return value(from_->element[index]);
}

void reply::free_reply::operator()(redisReply* owned) const noexcept {
    ::freeReplyObject(owned);
}

}  // namespace hearth::redis
