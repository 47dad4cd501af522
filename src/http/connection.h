#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "coro/intrusive_list.h"
#include "coro/stop.h"
#include "http/body.h"
#include "http/input.h"
#include "http/options.h"
#include "http/parser.h"
#include "http/request.h"
#include "http/response.h"
#include "http/router.h"
#include "net/stream.h"

namespace hearth::http {

class server;

// One client connection from its first byte to its close: requests one after the other, each
// answered before the next is read, so that pipelined responses keep their order and a client that
// does not read its answers is not served more. Buffers are used again from request to request.
// Lives in the coroutine of server::serve_connection.
class connection : public list_hook<connection> {
public:
    // `parent` is the stop that ends the server's connections; it may be null.
    connection(server& home, std::unique_ptr<net::stream> peer, stop_source* parent);

    // Serves until the connection is over and closed.
    task<void> run();

    // Ends the wait for a request that has not begun. `fresh_too` includes connections that have
    // not sent anything yet.
    void stop_waiting(bool fresh_too) noexcept;

private:
    enum class next_step : std::uint8_t { go_on, close, linger };
    enum class head_outcome : std::uint8_t { complete, rejected, over };

    task<next_step> serve_one();
    task<head_outcome> read_head();
    task<result<bool>> wait_for_first_byte();
    task<next_step> answer();
    task<response> dispatch();
    task<next_step> reject(rejection why);
    task<next_step> finish_body(bool keep);
    task<bool> send(const response& answer, bool keep);
    task<void> linger();
    void take_request_id();
    void write_head(const response& answer, bool keep);
    void report(int status, std::uint64_t response_bytes);
    [[nodiscard]] bool may_keep(const response& answer) const noexcept;

    server& home_;
    std::unique_ptr<net::stream> peer_;
    input input_;
    head_parser parser_;
    body_reader body_;
    router::match match_;
    std::string request_id_;
    std::string out_;
    stop_source waiting_stop_;
    steady_time began_;      // of the current request
    bool waiting_ = false;   // for the first byte of a request
    bool fresh_ = true;      // nothing was received yet
    bool has_head_ = false;  // the current request's head was understood
};

}  // namespace hearth::http
