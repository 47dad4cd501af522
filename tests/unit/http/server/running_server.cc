#include "tests/unit/http/server/running_server.h"

#include <filesystem>

#include <sys/mman.h>

#include "base/check.h"
#include "base/concat.h"
#include "base/unique_fd.h"
#include "http/error_response.h"
#include "http/multipart_reader.h"

namespace hearth::http {

example_routes::example_routes() {
    const auto add = [this](method of, std::string_view pattern,
                            task<response> (example_routes::*member)(request&)) {
        routes_.add(of, pattern, [this, member](request& asked) { return (this->*member)(asked); });
    };
    add(method::get, "/", &example_routes::hello);
    add(method::get, "/item/:id", &example_routes::show);
    add(method::post, "/echo", &example_routes::echo);
    add(method::post, "/ten", &example_routes::echo_ten);
    add(method::post, "/ignore", &example_routes::ignore);
    add(method::post, "/store", &example_routes::store);
    add(method::get, "/wait", &example_routes::wait);
    add(method::post, "/form", &example_routes::form);
    add(method::get, "/large", &example_routes::large);
}

task<response> example_routes::hello(request&) {
    co_return response::text(200, "hello");
}

task<response> example_routes::show(request& asked) {
    co_return response::text(
        200, concat(asked.parameter("id"), " ", asked.query_parameter("q").value_or("-")));
}

task<response> example_routes::echo(request& asked) {
    auto body = co_await asked.body().read_all(10u << 20);
    if (!body) {
        co_return error_response(body.error(), asked.id());
    }
    co_return response::text(200, std::move(*body));
}

task<response> example_routes::echo_ten(request& asked) {
    auto body = co_await asked.body().read_all(10);
    if (!body) {
        co_return error_response(body.error(), asked.id());
    }
    co_return response::text(200, std::move(*body));
}

task<response> example_routes::ignore(request&) {
    co_return response::text(200, "ignored");
}

task<response> example_routes::store(request& asked) {
    const unique_fd file(::memfd_create("upload", MFD_CLOEXEC));
    std::uint64_t sum = 0;
    const auto add_up = [&sum](std::span<const std::byte> block) {
        for (const std::byte each : block) {
            sum += static_cast<std::uint64_t>(each);
        }
    };
    auto size = co_await asked.body().copy_to_file(file.get(), pool_, 10u << 20, add_up);
    if (!size) {
        co_return error_response(size.error(), asked.id());
    }
    std::string stored(*size, '\0');
    const ssize_t count = ::pread(file.get(), stored.data(), stored.size(), 0);
    HEARTH_CHECK(count == static_cast<ssize_t>(stored.size()), "the file is as long as the body");
    co_return response::text(200, concat(*size, " ", sum, " ", std::hash<std::string>{}(stored)));
}

task<response> example_routes::wait(request& asked) {
    if (!std::exchange(announced_, true)) {
        waiting.set_value();
    }
    auto woken = co_await released_.wait();
    if (!woken) {
        co_return error_response(woken.error(), asked.id());
    }
    co_return response::text(200, "waited");
}

task<response> example_routes::form(request& asked) {
    auto boundary = boundary_of(asked.header("content-type").value_or(""));
    if (!boundary) {
        co_return error_response(boundary.error(), asked.id());
    }
    multipart_reader form(asked.body(), *boundary);
    std::string list;
    for (;;) {
        auto event = co_await form.next();
        if (!event) {
            co_return error_response(event.error(), asked.id());
        }
        switch (event->kind) {
            case multipart_parser::event_kind::part_begin:
                list += concat(form.part().name, "=");
                break;
            case multipart_parser::event_kind::data:
                list.append(reinterpret_cast<const char*>(event->data.data()), event->data.size());
                break;
            case multipart_parser::event_kind::finished:
                co_return response::text(200, std::move(list));
            default:
                list += ';';
                break;
        }
    }
}

task<response> example_routes::large(request&) {
    response answer(200);
    answer.append("[").append(std::string(large_body_bytes - 2, 'x')).append("]");
    co_return answer;
}

running_server::running_server(const server_options& options, observer* watcher) {
    auto started = started_.get_future();
    thread_ = std::thread([this, options, watcher] { run_thread(options, watcher); });
    port_ = started.get();
}

void running_server::run_thread(const server_options& options, observer* watcher) {
    auto made = uring::ring::create();
    HEARTH_CHECK(made.has_value(), made ? "" : made.error().message);
    ring_ = std::move(*made);
    ring_->run(main(options, watcher));
    ring_.reset();  // by the thread that made it
}

task<void> running_server::main(const server_options& options, observer* watcher) {
    const auto frames_before = static_cast<std::int64_t>(this_thread_frames().live);
    {
        auto socket = net::open_listening_socket("127.0.0.1:0");
        HEARTH_CHECK(socket.has_value(), "a loopback port is free");
        net::listener listening(std::move(*socket));
        server web(app_.routes(), options, watcher);
        server_ = &web;
        scope tasks;
        tasks.spawn(web.run(listening));
        started_.set_value(listening.port());
        (void)co_await stopping_.wait();
        co_await web.drain(after(grace_));
        co_await tasks.join();
        counters_ = web.counters();
    }
    leaked_frames_ = static_cast<std::int64_t>(this_thread_frames().live) - frames_before;
}

void running_server::on_server(const std::function<void()>& work) {
    class posted final : public remote_work {
    public:
        explicit posted(const std::function<void()>& function) : function_(function) {}
        std::promise<void> done;

    private:
        void run() noexcept override {
            function_();
            done.set_value();
        }
        const std::function<void()>& function_;
    };
    posted call(work);
    auto done = call.done.get_future();
    ring_->post_remote(call);
    done.wait();
}

void running_server::begin_drain(milliseconds grace) {
    drain_begun_ = true;
    on_server([&] {
        grace_ = grace;
        stopping_.set();
    });
}

void running_server::stop() {
    if (thread_.joinable()) {
        if (!drain_begun_) {
            begin_drain();
        }
        thread_.join();
    }
}

std::size_t count_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
        ++count;
    }
    return count;
}

}  // namespace hearth::http
