#include "redis/connection.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>
#include <vector>

#include <hiredis/hiredis.h>

#include "base/check.h"
#include "base/concat.h"

namespace hearth::redis {
namespace {

// hiredis keeps a buffer that once was large; beyond this it gives the memory back.
constexpr std::size_t reader_buffer_kept = 1u << 20;

// In RESP2 a subscription's messages look like any other array.
bool is_push(const reply& got) {
    static constexpr std::array kinds{std::string_view("message"), std::string_view("subscribe"),
                                      std::string_view("unsubscribe")};
    if (got.get().size() != 3) {
        return false;
    }
    return std::ranges::find(kinds, got.get()[0].text()) != kinds.end();
}

}  // namespace

command::command(std::initializer_list<std::string_view> words) {
    std::vector<const char*> texts;
    std::vector<std::size_t> sizes;
    texts.reserve(words.size());
    sizes.reserve(words.size());
    for (const auto& word : words) {
        texts.push_back(word.data());
        sizes.push_back(word.size());
    }
    char* formatted = nullptr;
    const long long size = ::redisFormatCommandArgv(&formatted, static_cast<int>(words.size()),
                                                    texts.data(), sizes.data());
    HEARTH_CHECK(size >= 0, "out of memory for a Redis command");
    bytes_.assign(formatted, static_cast<std::size_t>(size));
    ::redisFreeCommand(formatted);
}

void connection::free_reader::operator()(redisReader* owned) const noexcept {
    ::redisReaderFree(owned);
}

connection::connection(std::unique_ptr<net::stream> link, std::function<void(const reply&)> on_push)
    : stream_(std::move(link)), on_push_(std::move(on_push)), reader_(::redisReaderCreate()) {
    reader_->maxbuf = reader_buffer_kept;
}

connection::~connection() = default;

task<error> connection::serve() {
    scope moving(co_await current_stop());
    moving.spawn(read_replies());
    moving.spawn(write_commands());
    moving_ = &moving;
    if (why_) {
        moving.request_stop();
    }
    co_await moving.join();
    moving_ = nullptr;
    co_await stream_->close();
    close();
    co_return *why_;
}

void connection::close() {
    end({errc::cancelled, "it was closed", 0});
}

// The first reason stands; everybody who waits hears that no answer will come.
void connection::end(error why) {
    if (!why_) {
        why_ = std::move(why);
        ended_.set();
    }
    for (auto& each : std::exchange(in_flight_, {})) {
        each->answer =
            fail(errc::unavailable, concat("the connection to Redis ended: ", why_->message));
        each->answered.notify_all();
    }
    // Whichever of reading and writing ends, ends the other.
    if (moving_ != nullptr) {
        moving_->request_stop();
    }
}

task<result<reply>> connection::call(command asked, deadline until) {
    if (in_flight_.size() >= in_flight_max) {
        co_return fail(errc::limit_exceeded,
                       concat("too many commands wait for Redis (", in_flight_max, ")"));
    }
    auto sent = send(asked);
    if (!sent) {
        co_return propagate(sent);
    }
    auto self = std::make_shared<pending>();
    in_flight_.push_back(self);
    auto woken = co_await self->answered.wait(until);
    if (self->answer) {
        co_return std::move(*self->answer);
    }
    co_return propagate(woken);
}

result<> connection::send(const command& asked) {
    if (why_) {
        return fail(errc::unavailable, concat("the connection to Redis ended: ", why_->message));
    }
    if (queued_.size() >= queued_bytes_max) {
        return fail(errc::limit_exceeded, "too much waits to be sent to Redis");
    }
    queued_ += asked.bytes();
    has_queued_.notify_one();
    return {};
}

task<void> connection::write_commands() {
    std::string sending;
    for (;;) {
        if (queued_.empty()) {
            auto woken = co_await has_queued_.wait();
            if (!woken) {
                co_return;
            }
            continue;
        }
        sending.clear();
        std::swap(sending, queued_);
        auto written = co_await stream_->write(sending, never);
        if (!written) {
            end(std::move(written.error()));
            co_return;
        }
    }
}

task<void> connection::read_replies() {
    for (;;) {
        auto some = co_await stream_->read(never);
        if (!some || some->empty()) {
            end(some ? error{errc::closed, "the server closed it", 0} : std::move(some.error()));
            co_return;
        }
        const auto bytes = some->text();
        received_bytes_ += bytes.size();
        if (::redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) != REDIS_OK) {
            end({errc::protocol, "what came is not Redis's protocol", 0});
            co_return;
        }
        for (;;) {
            void* got = nullptr;
            if (::redisReaderGetReply(reader_.get(), &got) != REDIS_OK) {
                end({errc::protocol, concat("not Redis's protocol: ", reader_->errstr), 0});
                co_return;
            }
            if (got == nullptr) {
                break;
            }
            if (!deliver(reply(static_cast<redisReply*>(got)))) {
                end({errc::protocol, "Redis answered what nobody asked", 0});
                co_return;
            }
        }
    }
}

bool connection::deliver(reply got) {
    if (on_push_ && is_push(got)) {
        on_push_(got);
        return true;
    }
    if (in_flight_.empty()) {
        return false;
    }
    const auto asked = std::move(in_flight_.front());
    in_flight_.pop_front();
    asked->answer = std::move(got);
    asked->answered.notify_all();
    return true;
}

}  // namespace hearth::redis
