#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "aws/credentials.h"
#include "aws/failure.h"
#include "aws/retry.h"
#include "aws/settings.h"
#include "base/clock.h"
#include "base/result.h"
#include "coro/task.h"
#include "http/client.h"

namespace hearth::aws {

struct client_options {
    int attempts_max = 4;  // of one call; AWS's SDKs have 3, a host that queues can wait longer
    pause_range pauses;
    std::function<epoch_ms()> now = wall_clock_ms;  // what is signed
};

// One call. Path, query and header values are raw.
struct request {
    std::string operation;  // for logs and errors: "SendMessageBatch"
    std::string method = "POST";
    std::string path = "/";
    fields query;
    fields headers;  // without Host
    std::string body;
    // Lower-case hexadecimal SHA-256 of the body where the caller has it; computed otherwise.
    std::string body_hash;
    std::optional<endpoint> where;  // else the service's
    bool sign = true;
    milliseconds attempt_timeout{10'000};  // then the attempt is given up and made again
    std::size_t answer_bytes_max = 8u << 20;
};

// Calls of one AWS service: signed, sent, tried again. Every failed attempt that can be cured is:
// the service's own errors and broken connections by asking again after a pause with full jitter,
// as long as the retry budget lasts; throttling by asking slower; a wrong clock by taking the
// service's; expired credentials by fetching others. A call may therefore have happened more than
// once. Each service gets a client of its own, since budget and rate are about one service. Ring
// thread only.
class client {
public:
    struct statistics {
        std::uint64_t calls = 0;
        std::uint64_t failed = 0;    // calls that ended in an error
        std::uint64_t attempts = 0;  // requests sent
        std::uint64_t retries = 0;
        std::uint64_t throttled = 0;        // answers that asked for less
        std::uint64_t budget_refusals = 0;  // retries not made for want of tokens
        std::uint64_t clock_corrections = 0;
    };

    // `transport`, and `keys` where calls are signed, outlive the client.
    client(http::client& transport, credentials_source* keys, const settings& from, service which,
           client_options options = {});

    // A response has a status from 200 to 299. Errors: see to_error(); errc::unavailable without an
    // answer, deadline_exceeded, cancelled, and what the credentials source says.
    task<result<http::client_response>> call(request asked, deadline until);
    // A call in AWS JSON, which SQS, DynamoDB, Systems Manager and Secrets Manager speak.
    [[nodiscard]] request json_request(std::string operation, std::string body) const;

    [[nodiscard]] service which() const noexcept { return which_; }
    [[nodiscard]] const settings& configuration() const noexcept { return settings_; }
    [[nodiscard]] const statistics& counts() const noexcept { return counts_; }
    [[nodiscard]] const send_rate& rate() const noexcept { return rate_; }
    // What is added to the own clock before signing.
    [[nodiscard]] milliseconds clock_offset() const noexcept { return clock_offset_; }
    // The time that a request signed now carries.
    [[nodiscard]] epoch_ms signing_time() const { return options_.now() + clock_offset_.count(); }
    [[nodiscard]] credentials_source* keys() const noexcept { return keys_; }

private:
    struct attempt {
        std::optional<http::client_response> answer;  // of whatever status
        error problem;                                // when there is none
        credentials signed_by;
        epoch_ms signed_at = 0;
    };

    // Of one call.
    struct progress {
        int number = 1;  // of the attempt
        int paid = 1;    // what a success gives back to the budget
        bool clock_corrected = false;
        bool keys_renewed = false;
    };

    task<result<http::client_response>> try_until_done(const request& asked, deadline until);
    task<result<>> wait_for_turn(const request& asked, deadline until);
    task<attempt> try_once(const request& asked, deadline until);
    // Whether another attempt may help; `problem` becomes what to say if none is made.
    [[nodiscard]] remedy judge(const request& asked, const attempt& made, error& problem);
    // Before the next attempt; nothing when there shall be none.
    [[nodiscard]] std::optional<milliseconds> next_pause(remedy cure, const attempt& made,
                                                         progress& so_far, deadline until);
    [[nodiscard]] bool correct_clock(const attempt& made, bool certain);
    void log_retry(const request& asked, int number, milliseconds pause, const error& problem);

    http::client& transport_;
    credentials_source* keys_;
    settings settings_;
    service which_;
    endpoint where_;
    client_options options_;
    retry_budget budget_;
    send_rate rate_;
    milliseconds clock_offset_{0};
    statistics counts_;
};

}  // namespace hearth::aws
