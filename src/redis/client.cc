#include "redis/client.h"

#include <algorithm>
#include <utility>

#include "base/concat.h"
#include "base/ids.h"
#include "base/log.h"
#include "coro/scope.h"
#include "net/connect.h"

namespace hearth::redis {
namespace {

error error_of(std::string_view text) {
    const auto kind = text.substr(0, text.find(' '));
    errc code = errc::invalid_argument;
    if (kind == "NOSCRIPT") {
        code = errc::not_found;
    } else if (kind == "NOAUTH" || kind == "NOPERM" || kind == "WRONGPASS") {
        code = errc::permission_denied;
    } else if (kind == "LOADING" || kind == "READONLY" || kind == "OOM" || kind == "BUSY" ||
               kind == "MASTERDOWN" || kind == "MISCONF" || kind == "NOREPLICAS" ||
               kind == "CLUSTERDOWN" || kind == "TRYAGAIN") {
        code = errc::unavailable;
    }
    return {code, concat("Redis: ", text), 0};
}

}  // namespace

client::client(client_settings settings, thread_pool& lookups)
    : client(std::move(settings), lookups, callbacks{}) {}

client::client(client_settings settings, thread_pool& lookups, callbacks told)
    : settings_(std::move(settings)), lookups_(lookups), told_(std::move(told)) {}

task<void> client::run() {
    const stop_source* stop = co_await current_stop();
    while (stop == nullptr || !stop->requested()) {
        auto opened = co_await connect(after(settings_.connect_timeout));
        error why;
        if (opened) {
            co_await serve(**opened, why);
        } else {
            why = std::move(opened.error());
        }
        tried_ = true;
        tried_changed_.notify_all();
        if (why.code == errc::cancelled) {
            continue;
        }
        const auto pause = next_pause();
        log::warning("no connection to Redis; trying again", {{"server", to_text(settings_.where)},
                                                              {"reason", why.message},
                                                              {"pauseMs", pause.count()}});
        [[maybe_unused]] const auto slept = co_await sleep_until(after(pause));
    }
}

// Half the pause is fixed, so that "random" is never "at once, again and again".
milliseconds client::next_pause() {
    pause_ = std::clamp(pause_ * 2, settings_.pause_min, settings_.pause_max);
    const auto half = std::max<std::int64_t>(pause_.count() / 2, 1);
    return milliseconds(
        half + static_cast<std::int64_t>(random_u64() % static_cast<std::uint64_t>(half + 1)));
}

task<result<std::unique_ptr<connection>>> client::connect(deadline until) {
    const endpoint& where = settings_.where;
    auto link = co_await net::connect_host(lookups_, where.host, where.port, until);
    if (link && where.tls) {
        link = co_await net::connect_tls(settings_.tls, std::move(*link), where.host, until);
    }
    if (!link) {
        ++counts_.failed;
        co_return propagate(link);
    }
    co_return std::make_unique<connection>(std::move(*link), told_.on_push);
}

task<void> client::serve(connection& fresh, error& why) {
    scope serving(co_await current_stop());
    serving.spawn([](connection& which, error& reason) -> task<void> {
        reason = co_await which.serve();
    }(fresh, why));
    auto introduced = co_await introduce(fresh, after(settings_.connect_timeout));
    if (introduced) {
        ++counts_.connected;
        pause_ = milliseconds(0);
        current_ = &fresh;
        tried_ = true;
        tried_changed_.notify_all();
        log::info("connected to Redis", {{"server", to_text(settings_.where)}});
        if (told_.on_connected) {
            told_.on_connected();
        }
        co_await keep_alive();
        current_ = nullptr;
        ++counts_.lost;
        if (told_.on_lost) {
            told_.on_lost();
        }
    } else {
        ++counts_.failed;
    }
    fresh.close();
    co_await serving.join();
    if (!introduced) {
        why = std::move(introduced.error());
    }
}

task<result<>> client::introduce(connection& fresh, deadline until) {
    const endpoint& where = settings_.where;
    if (!where.password.empty()) {
        // The name that Redis gives to the user of a server that has only a password.
        const std::string user = where.user.empty() ? "default" : where.user;
        auto answer = co_await fresh.call({"AUTH", user, where.password}, until);
        if (!answer) {
            co_return propagate(answer);
        }
        if (answer->get().is_error()) {
            co_return fail(errc::permission_denied,
                           concat("Redis refused user and password: ", answer->get().text()));
        }
    }
    // Also with database 0: the first command is what shows whether we may talk at all.
    auto answer = co_await fresh.call({"SELECT", concat(where.database)}, until);
    if (!answer) {
        co_return propagate(answer);
    }
    if (answer->get().is_error()) {
        co_return std::unexpected(error_of(answer->get().text()));
    }
    co_return result<>{};
}

// Until the connection ends.
task<void> client::keep_alive() {
    for (;;) {
        auto ended = co_await current_->ended().wait(after(settings_.ping_every));
        if (ended || ended.error().code != errc::deadline_exceeded) {
            co_return;
        }
        if (!co_await is_alive()) {
            co_return;
        }
    }
}

// A PING that gets no answer in time, or that does not fit behind all that waits already, tells
// nothing of a server that is still answering others: a busy connection is not a dead one.
task<bool> client::is_alive() {
    connection& link = *current_;
    const deadline until = after(settings_.ping_timeout);
    const std::uint64_t before = link.received_bytes();
    auto answer = co_await link.call({"PING"}, until);
    if (!answer && answer.error().code == errc::limit_exceeded) {
        [[maybe_unused]] const auto ended = co_await link.ended().wait(until);
    }
    co_return !link.ended().is_set() && link.received_bytes() > before;
}

task<result<reply>> client::call(command asked, deadline until) {
    ++counts_.commands;
    while (current_ == nullptr && !tried_) {
        auto waited = co_await tried_changed_.wait(until);
        if (!waited) {
            ++counts_.command_errors;
            co_return propagate(waited);
        }
    }
    if (current_ == nullptr) {
        ++counts_.command_errors;
        co_return fail(errc::unavailable,
                       concat("there is no connection to Redis at ", to_text(settings_.where)));
    }
    auto answer = co_await current_->call(std::move(asked), until);
    if (!answer) {
        ++counts_.command_errors;
    } else if (answer->get().is_error()) {
        co_return std::unexpected(error_of(answer->get().text()));
    }
    co_return answer;
}

result<> client::send(const command& asked) {
    if (current_ == nullptr) {
        return fail(errc::unavailable, "there is no connection to Redis");
    }
    ++counts_.commands;
    return current_->send(asked);
}

}  // namespace hearth::redis
