#include "http/client.h"

#include <algorithm>
#include <array>
#include <utility>

#include <curl/curl.h>
#include <sys/epoll.h>

#include "base/check.h"
#include "base/concat.h"
#include "base/unique_fd.h"
#include "coro/event.h"
#include "coro/executor.h"
#include "coro/timers.h"
#include "uring/operation.h"

namespace hearth::http {
namespace {

constexpr std::size_t header_bytes_max = 64u << 10;  // of one response

// libcurl wants this once per process, before any thread uses it.
bool start_library() {
    static const bool started = ::curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    return started;
}

template <class T>
void set(CURL* handle, CURLoption option, T value) {
    HEARTH_CHECK(::curl_easy_setopt(handle, option, value) == CURLE_OK,
                 "libcurl does not know an option");
}

template <class T>
void set(CURLM* multi, CURLMoption option, T value) {
    HEARTH_CHECK(::curl_multi_setopt(multi, option, value) == CURLM_OK,
                 "libcurl does not know an option");
}

// A line break in a header would be a second header.
bool is_sendable(std::string_view text) {
    return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

// libcurl tells which sockets it waits for; an epoll set holds them, level-triggered as libcurl
// expects, and the ring waits for the set with one-shot polls. Its one timer is one of the loop's.
class client::engine final : private timer {
public:
    static result<std::unique_ptr<engine>> create(const client_settings& settings) {
        if (!start_library()) {
            return fail(errc::internal, "libcurl cannot be initialised");
        }
        auto made = std::make_unique<engine>(settings);
        if (!made->epoll_) {
            return fail_errno("epoll_create1");
        }
        return made;
    }

    explicit engine(const client_settings& wanted)
        : settings(wanted), epoll_(::epoll_create1(EPOLL_CLOEXEC)), multi_(::curl_multi_init()) {
        HEARTH_CHECK(multi_ != nullptr, "out of memory for libcurl");
        set(multi_, CURLMOPT_SOCKETFUNCTION, &on_socket);
        set(multi_, CURLMOPT_SOCKETDATA, this);
        set(multi_, CURLMOPT_TIMERFUNCTION, &on_timeout);
        set(multi_, CURLMOPT_TIMERDATA, this);
        set(multi_, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
        // By itself it keeps four for each request in flight, and closes the rest after a burst.
        set(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(settings.connections_max));
        set(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS, static_cast<long>(settings.connections_max));
        set(multi_, CURLMOPT_MAX_HOST_CONNECTIONS,
            static_cast<long>(settings.connections_per_host_max));
    }
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;
    ~engine() {
        disarm();
        ::curl_multi_cleanup(multi_);
        for (CURL* each : spare_) {
            ::curl_easy_cleanup(each);
        }
    }

    task<void> run();
    void add(CURL* handle) {
        HEARTH_CHECK(::curl_multi_add_handle(multi_, handle) == CURLM_OK, "libcurl is misused");
    }
    void remove(CURL* handle) { ::curl_multi_remove_handle(multi_, handle); }

    [[nodiscard]] CURL* take_handle() {
        if (spare_.empty()) {
            CURL* made = ::curl_easy_init();
            HEARTH_CHECK(made != nullptr, "out of memory for libcurl");
            return made;
        }
        CURL* handle = spare_.back();
        spare_.pop_back();
        return handle;
    }
    void give_back(CURL* handle) {
        ::curl_easy_reset(handle);
        spare_.push_back(handle);
    }

    const client_settings settings;

private:
    static int on_socket(CURL*, curl_socket_t fd, int what, void* self, void* known);
    static int on_timeout(CURLM*, long after_ms, void* self);
    void on_timer() noexcept override { act(CURL_SOCKET_TIMEOUT, 0); }
    void act(curl_socket_t fd, int events) noexcept;

    unique_fd epoll_;
    CURLM* multi_;
    std::vector<CURL*> spare_;
};

// One request on its way. Lives in send()'s frame.
class client::transfer {
public:
    transfer(engine& home, client_request& request)
        : home_(home), request_(request), handle_(home.take_handle()) {}
    transfer(const transfer&) = delete;
    transfer& operator=(const transfer&) = delete;
    ~transfer() {
        home_.remove(handle_);
        ::curl_slist_free_all(headers_);
        home_.give_back(handle_);
    }

    [[nodiscard]] result<> prepare(deadline until);
    void start() { home_.add(handle_); }
    void finish(CURLcode code) {
        code_ = code;
        done.set();
    }
    [[nodiscard]] result<client_response> take();
    [[nodiscard]] std::uint64_t connections_made() const {
        long count = 0;
        ::curl_easy_getinfo(handle_, CURLINFO_NUM_CONNECTS, &count);
        return static_cast<std::uint64_t>(count);
    }

    event done;

private:
    static std::size_t on_header(char* text, std::size_t, std::size_t size, void* self);
    static std::size_t on_body(char* text, std::size_t, std::size_t size, void* self);

    engine& home_;
    client_request& request_;
    CURL* handle_;
    curl_slist* headers_ = nullptr;
    client_response response_;
    std::size_t header_bytes_ = 0;
    bool too_large_ = false;
    CURLcode code_ = CURLE_OK;
    std::array<char, CURL_ERROR_SIZE> words_{};
};

// --- engine ----------------------------------------------------------------------------------

int client::engine::on_socket(CURL*, curl_socket_t fd, int what, void* self, void* known) {
    auto& home = *static_cast<engine*>(self);
    if (what == CURL_POLL_REMOVE) {
        // The descriptor may be closed already, which took it out of the set.
        ::epoll_ctl(home.epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
        ::curl_multi_assign(home.multi_, fd, nullptr);
        return 0;
    }
    epoll_event wanted{};
    wanted.data.fd = fd;
    wanted.events =
        ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0U) | ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0U);
    const int action = known == nullptr ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    ::curl_multi_assign(home.multi_, fd, &home);
    if (::epoll_ctl(home.epoll_.get(), action, fd, &wanted) != 0 && errno == EEXIST) {
        ::epoll_ctl(home.epoll_.get(), EPOLL_CTL_MOD, fd, &wanted);
    }
    return 0;
}

int client::engine::on_timeout(CURLM*, long after_ms, void* self) {
    auto& home = *static_cast<engine*>(self);
    if (after_ms < 0) {
        home.disarm();
    } else {
        executor::current()->timers().arm(home, after(milliseconds(after_ms)));
    }
    return 0;
}

void client::engine::act(curl_socket_t fd, int events) noexcept {
    int running = 0;
    ::curl_multi_socket_action(multi_, fd, events, &running);
    int left = 0;
    while (const CURLMsg* message = ::curl_multi_info_read(multi_, &left)) {
        if (message->msg == CURLMSG_DONE) {
            transfer* ended = nullptr;
            ::curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &ended);
            ended->finish(message->data.result);
        }
    }
}

task<void> client::engine::run() {
    for (;;) {
        auto ready = co_await uring::poll_once(epoll_.get(), POLLIN, never);
        if (!ready) {
            co_return;
        }
        std::array<epoll_event, 64> events;
        const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), 0);
        for (int i = 0; i < count; ++i) {
            const auto& each = events[static_cast<std::size_t>(i)];
            const int what = ((each.events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
                             ((each.events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
                             ((each.events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);
            act(each.data.fd, what);
        }
    }
}

// --- transfer --------------------------------------------------------------------------------

result<> client::transfer::prepare(deadline until) {
    const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now()).count();
    if (left <= 0) {
        return fail(errc::deadline_exceeded, "the deadline passed before the request");
    }
    set(handle_, CURLOPT_PRIVATE, this);
    set(handle_, CURLOPT_ERRORBUFFER, words_.data());
    set(handle_, CURLOPT_URL, request_.url.c_str());
    set(handle_, CURLOPT_PROTOCOLS_STR, "http,https");
    set(handle_, CURLOPT_PROXY, "");
    set(handle_, CURLOPT_NOSIGNAL, 1L);
    set(handle_, CURLOPT_PATH_AS_IS, 1L);  // what was signed is what is sent
    set(handle_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
    set(handle_, CURLOPT_CONNECTTIMEOUT_MS,
        static_cast<long>(std::min<std::int64_t>(left, home_.settings.connect_timeout.count())));
    // A connection that no one reads from the far side shows only when something is sent.
    set(handle_, CURLOPT_TCP_KEEPALIVE, 1L);
    set(handle_, CURLOPT_HEADERFUNCTION, &on_header);
    set(handle_, CURLOPT_HEADERDATA, this);
    set(handle_, CURLOPT_WRITEFUNCTION, &on_body);
    set(handle_, CURLOPT_WRITEDATA, this);
    if (!home_.settings.authorities_file.empty()) {
        set(handle_, CURLOPT_CAINFO, home_.settings.authorities_file.c_str());
    }
    if (request_.method == "HEAD") {
        set(handle_, CURLOPT_NOBODY, 1L);
    } else if (request_.method != "GET" || !request_.body.empty()) {
        set(handle_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
        set(handle_, CURLOPT_POSTFIELDS, request_.body.data());
        set(handle_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
    }
    // libcurl's own additions are not signed and not wanted.
    headers_ = ::curl_slist_append(headers_, "Expect:");
    headers_ = ::curl_slist_append(headers_, "Accept:");
    bool has_type = false;
    for (const auto& [name, value] : request_.headers) {
        if (!is_sendable(name) || !is_sendable(value) || name.empty()) {
            return fail(errc::invalid_argument, "a header of a request holds a line break");
        }
        has_type =
            has_type || std::ranges::equal(name, std::string_view("content-type"), {}, lower);
        // A header without a value is written with a semicolon, or libcurl leaves it out.
        const auto line = value.empty() ? name + ';' : concat(name, ": ", value);
        headers_ = ::curl_slist_append(headers_, line.c_str());
    }
    if (!has_type) {
        headers_ = ::curl_slist_append(headers_, "Content-Type:");
    }
    set(handle_, CURLOPT_HTTPHEADER, headers_);
    return {};
}

std::size_t client::transfer::on_header(char* text, std::size_t, std::size_t size, void* self) {
    auto& into = *static_cast<transfer*>(self);
    into.header_bytes_ += size;
    if (into.header_bytes_ > header_bytes_max) {
        into.too_large_ = true;
        return 0;
    }
    std::string_view line(text, size);
    if (line.starts_with("HTTP/")) {
        into.response_.headers.clear();  // what came before was an interim response
        return size;
    }
    const auto colon = line.find(':');
    if (colon != std::string_view::npos) {
        std::string name(line.substr(0, colon));
        std::ranges::transform(name, name.begin(), lower);
        auto value = line.substr(colon + 1);
        value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
        value = value.substr(0, value.find_last_not_of(" \t\r\n") + 1);
        into.response_.headers.emplace_back(std::move(name), value);
    }
    return size;
}

std::size_t client::transfer::on_body(char* text, std::size_t, std::size_t size, void* self) {
    auto& into = *static_cast<transfer*>(self);
    if (into.response_.body.size() + size > into.request_.answer_bytes_max) {
        into.too_large_ = true;
        return 0;
    }
    into.response_.body.append(text, size);
    return size;
}

result<client_response> client::transfer::take() {
    if (too_large_) {
        return fail(errc::too_large, concat("the answer of ", request_.url, " is longer than ",
                                            request_.answer_bytes_max, " bytes"));
    }
    if (code_ == CURLE_URL_MALFORMAT || code_ == CURLE_UNSUPPORTED_PROTOCOL) {
        return fail(errc::invalid_argument, concat("not a URL that can be asked: ", request_.url));
    }
    if (code_ != CURLE_OK) {
        const std::string_view words =
            words_[0] != '\0' ? words_.data() : ::curl_easy_strerror(code_);
        return fail(errc::unavailable, concat("no answer from ", request_.url, ": ", words));
    }
    long status = 0;
    ::curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
    response_.status = static_cast<int>(status);
    return std::move(response_);
}

// --- client ----------------------------------------------------------------------------------

std::optional<std::string_view> client_response::header(std::string_view name) const noexcept {
    for (const auto& [each, value] : headers) {
        if (each == name) {
            return value;
        }
    }
    return std::nullopt;
}

client::client(std::unique_ptr<engine> ready) : engine_(std::move(ready)) {}
client::~client() = default;

result<std::unique_ptr<client>> client::create(const client_settings& settings) {
    auto made = engine::create(settings);
    if (!made) {
        return propagate(made);
    }
    return std::unique_ptr<client>(new client(std::move(*made)));
}

task<void> client::run() {
    return engine_->run();
}

task<result<client_response>> client::send(client_request request, deadline until) {
    ++counts_.requests;
    transfer moving(*engine_, request);
    auto prepared = moving.prepare(until);
    if (!prepared) {
        ++counts_.failed;
        co_return propagate(prepared);
    }
    moving.start();
    auto ended = co_await moving.done.wait(until);
    if (!ended) {
        ++counts_.failed;
        co_return propagate(ended);
    }
    counts_.connections += moving.connections_made();
    auto response = moving.take();
    if (!response) {
        ++counts_.failed;
    }
    co_return response;
}

}  // namespace hearth::http
