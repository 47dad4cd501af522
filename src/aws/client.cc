#include "aws/client.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "aws/text.h"
#include "base/check.h"
#include "base/concat.h"
#include "base/ids.h"
#include "base/log.h"
#include "coro/wait_list.h"

namespace hearth::aws {
namespace {

// AWS refuses signatures that are more than 5 minutes off. Where the error may also mean a wrong
// key, a smaller difference than this is not the reason.
constexpr milliseconds clock_difference_min{4 * 60'000};

struct json_protocol {
    service which;
    std::string_view content_type;
    std::string_view target;  // before the operation
};

constexpr std::array json_protocols{
    json_protocol{service::sqs, "application/x-amz-json-1.0", "AmazonSQS."},
    json_protocol{service::dynamodb, "application/x-amz-json-1.0", "DynamoDB_20120810."},
    json_protocol{service::ssm, "application/x-amz-json-1.1", "AmazonSSM."},
    json_protocol{service::secrets_manager, "application/x-amz-json-1.1", "secretsmanager."},
};

bool is_success(const http::client_response& answer) {
    return answer.status >= 200 && answer.status < 300;
}

}  // namespace

client::client(http::client& transport, credentials_source* keys, const settings& from,
               service which, client_options options)
    : transport_(transport),
      keys_(keys),
      settings_(from),
      which_(which),
      where_(from.endpoint_of(which)),
      options_(std::move(options)) {}

request client::json_request(std::string operation, std::string body) const {
    const auto* how = std::ranges::find(json_protocols, which_, &json_protocol::which);
    HEARTH_CHECK(how != json_protocols.end(), "this service does not speak AWS JSON");
    request out;
    out.headers = {{"content-type", std::string(how->content_type)},
                   {"x-amz-target", concat(how->target, operation)}};
    out.operation = std::move(operation);
    out.body = std::move(body);
    return out;
}

task<result<http::client_response>> client::call(request asked, deadline until) {
    ++counts_.calls;
    if (asked.sign && asked.body_hash.empty()) {
        asked.body_hash = sha256_hex(asked.body);
    }
    auto answer = co_await try_until_done(asked, until);
    if (!answer) {
        ++counts_.failed;
    } else if (log::enabled(log::level::debug)) {
        log::debug("aws call", {{"service", signing_name(which_)},
                                {"operation", asked.operation},
                                {"requestId", request_id_of(*answer)}});
    }
    co_return answer;
}

task<result<http::client_response>> client::try_until_done(const request& asked, deadline until) {
    progress so_far;
    for (;;) {
        if (auto turn = co_await wait_for_turn(asked, until); !turn) {
            co_return propagate(turn);
        }
        attempt made = co_await try_once(asked, until);
        error problem;
        const remedy cure = judge(asked, made, problem);
        if (made.answer && is_success(*made.answer)) {
            budget_.give(so_far.paid);
            co_return std::move(*made.answer);
        }
        const auto pause = next_pause(cure, made, so_far, until);
        if (!pause) {
            co_return std::unexpected(std::move(problem));
        }
        ++counts_.retries;
        log_retry(asked, so_far.number, *pause, problem);
        ++so_far.number;
        if (auto slept = co_await sleep_until(after(*pause)); !slept) {
            co_return propagate(slept);
        }
    }
}

std::optional<milliseconds> client::next_pause(remedy cure, const attempt& made, progress& so_far,
                                               deadline until) {
    if (cure == remedy::none || so_far.number >= options_.attempts_max) {
        return std::nullopt;
    }
    if (cure == remedy::clock || cure == remedy::clock_maybe) {
        const bool corrected =
            !so_far.clock_corrected && correct_clock(made, cure == remedy::clock);
        so_far.clock_corrected = true;
        return corrected ? std::optional(milliseconds(0)) : std::nullopt;
    }
    if (cure == remedy::credentials) {
        if (so_far.keys_renewed || keys_ == nullptr) {
            return std::nullopt;
        }
        keys_->refused(made.signed_by);
        so_far.keys_renewed = true;
        return milliseconds(0);
    }
    const auto pause =
        std::max(pause_before(so_far.number, cure == remedy::slower, options_.pauses, random_u64()),
                 made.answer ? retry_after(*made.answer, options_.pauses.most) : milliseconds(0));
    if (after(pause) >= until) {
        return std::nullopt;
    }
    so_far.paid = made.answer ? retry_budget::retry_cost : retry_budget::no_answer_cost;
    if (!budget_.take(so_far.paid)) {
        ++counts_.budget_refusals;
        return std::nullopt;
    }
    return pause;
}

task<result<>> client::wait_for_turn(const request& asked, deadline until) {
    const auto now = steady_clock::now();
    if (now >= until) {
        co_return fail(errc::deadline_exceeded,
                       concat("the deadline passed before ", signing_name(which_), ' ',
                              asked.operation, " was sent"));
    }
    const auto turn = rate_.admit(now);
    if (turn <= now) {
        co_return result<>{};
    }
    if (turn >= until) {
        rate_.give_back();
        co_return fail(errc::limit_exceeded,
                       concat(signing_name(which_), ' ', asked.operation,
                              ": the service asked for fewer requests, and there is no turn for "
                              "this one before its deadline"));
    }
    auto slept = co_await sleep_until(turn);
    if (!slept) {
        rate_.give_back();
    }
    co_return slept;
}

task<client::attempt> client::try_once(const request& asked, deadline until) {
    attempt made;
    const endpoint& where = asked.where ? *asked.where : where_;
    signable draft;
    draft.method = asked.method;
    draft.path = where.path + asked.path;
    draft.query = asked.query;
    draft.headers = asked.headers;
    draft.payload_hash = asked.body_hash;
    draft.headers.emplace_back("host", where.authority);
    if (asked.sign && keys_ != nullptr) {
        auto keys = co_await keys_->get(until);
        if (!keys) {
            made.problem = std::move(keys.error());
            co_return made;
        }
        made.signed_by = std::move(*keys);
        made.signed_at = signing_time();
        const bool is_s3 = which_ == service::s3;
        aws::sign(draft, made.signed_by,
                  {.region = settings_.region(),
                   .service = signing_name(which_),
                   .now = made.signed_at,
                   .normalize_path = !is_s3,
                   .payload_header = is_s3});
    }
    http::client_request wire;
    wire.method = asked.method;
    wire.url =
        concat(where.base.substr(0, where.base.size() - where.path.size()), target_of(draft));
    wire.headers = std::move(draft.headers);
    wire.body = asked.body;
    wire.answer_bytes_max = asked.answer_bytes_max;
    ++counts_.attempts;
    auto answer =
        co_await transport_.send(std::move(wire), std::min(until, after(asked.attempt_timeout)));
    if (answer) {
        made.answer = std::move(*answer);
    } else {
        made.problem = std::move(answer.error());
        if (made.problem.code == errc::deadline_exceeded && steady_clock::now() < until) {
            made.problem = {errc::unavailable,
                            concat("no answer within ", asked.attempt_timeout.count(), " ms"), 0};
        }
    }
    co_return made;
}

remedy client::judge(const request& asked, const attempt& made, error& problem) {
    if (!made.answer) {
        problem = made.problem;
        problem.message = concat(signing_name(which_), ' ', asked.operation, ": ", problem.message);
        const bool curable =
            problem.code == errc::unavailable || problem.code == errc::deadline_exceeded;
        return curable ? remedy::again : remedy::none;
    }
    if (is_success(*made.answer)) {
        rate_.answered(false, steady_clock::now());
        return remedy::none;
    }
    const failure what = parse_failure(*made.answer);
    const remedy cure = remedy_for(what);
    counts_.throttled += cure == remedy::slower ? 1 : 0;
    rate_.answered(cure == remedy::slower, steady_clock::now());
    problem = to_error(which_, asked.operation, what);
    return cure;
}

bool client::correct_clock(const attempt& made, bool certain) {
    const auto date = parse_http_date(made.answer->header("date").value_or(""));
    if (!date) {
        return false;
    }
    const milliseconds difference(*date - made.signed_at);
    const bool is_reason = std::abs(difference.count()) >= clock_difference_min.count() ||
                           (certain && std::abs(difference.count()) > 1000);
    if (!is_reason) {
        return false;
    }
    clock_offset_ = milliseconds(*date - options_.now());
    ++counts_.clock_corrections;
    log::warning("this host's clock is wrong; requests to AWS are signed with the service's",
                 {{"service", signing_name(which_)}, {"offsetMs", clock_offset_.count()}});
    return true;
}

void client::log_retry(const request& asked, int number, milliseconds pause, const error& problem) {
    log::info("aws call is tried again", {{"service", signing_name(which_)},
                                          {"operation", asked.operation},
                                          {"attempt", number},
                                          {"pauseMs", pause.count()},
                                          {"reason", problem.message}});
}

}  // namespace hearth::aws
