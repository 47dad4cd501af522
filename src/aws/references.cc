#include "aws/references.h"

#include <memory>
#include <set>

#include "aws/credential_chain.h"
#include "aws/secrets.h"
#include "base/concat.h"
#include "coro/scope.h"
#include "coro/semaphore.h"
#include "coro/thread_pool.h"
#include "uring/ring.h"

namespace hearth::aws {
namespace {

task<void> fetch_one(semaphore& turns, secret_service service, std::string name, client& ssm,
                     client& secrets, result<std::string>& into, deadline until) {
    if (auto turn = co_await turns.acquire(); !turn) {
        into = propagate(turn);
        co_return;
    }
    into = service == secret_service::ssm ? co_await get_parameter(ssm, std::move(name), until)
                                          : co_await get_secret(secrets, std::move(name), until);
    turns.release();
}

// The client of HTTP runs beside the one question.
task<reference_values> fetch_all(std::vector<secret_reference> wanted, http::client& transport,
                                 const environment& from, const settings& config,
                                 thread_pool& blocking, deadline until) {
    scope running;
    running.spawn(transport.run());
    const auto keys = credential_chain::standard({from, transport, blocking, config});
    client ssm(transport, keys.get(), config, service::ssm);
    client secrets(transport, keys.get(), config, service::secrets_manager);
    auto values = co_await fetch_references(std::move(wanted), ssm, secrets, until);
    running.request_stop();
    co_await running.join();
    co_return values;
}

result<reference_values> fetch_now(std::vector<secret_reference> wanted, const environment& from,
                                   deadline until) {
    constexpr std::size_t blocking_queue_max = 16;
    auto config = settings::read(from);
    if (!config) {
        return propagate(config);
    }
    auto ring = uring::ring::create();
    if (!ring) {
        return propagate(ring);
    }
    auto transport = http::client::create({.authorities_file = config->authorities_file()});
    if (!transport) {
        return propagate(transport);
    }
    thread_pool blocking(1, blocking_queue_max);
    return (*ring)->run(fetch_all(std::move(wanted), **transport, from, *config, blocking, until));
}

}  // namespace

std::function<result<std::string>(const secret_reference&)> reference_values::resolver() const {
    return [this](const secret_reference& which) {
        return find(which);
    };
}

result<std::string> reference_values::find(const secret_reference& which) const {
    const auto found = whole_.find({which.service, which.name});
    if (found == whole_.end()) {
        return fail(errc::not_found, "it was not fetched");
    }
    if (!found->second) {
        return std::unexpected(found->second.error());
    }
    if (which.member.empty()) {
        return *found->second;
    }
    return secret_member(*found->second, which.member);
}

task<reference_values> fetch_references(std::vector<secret_reference> wanted, client& ssm,
                                        client& secrets, deadline until) {
    reference_values values;
    for (const auto& each : wanted) {
        values.whole_.try_emplace({each.service, each.name});
    }
    semaphore turns(references_at_once);
    scope asking(co_await current_stop());
    for (auto& [name, value] : values.whole_) {
        asking.spawn(fetch_one(turns, name.first, name.second, ssm, secrets, value, until));
    }
    co_await asking.join();
    co_return values;
}

void resolve_references(std::span<const setting> declared, setting_sources& sources,
                        const environment& from, deadline until) {
    auto wanted = find_references(declared, sources);
    if (wanted.empty()) {
        return;
    }
    auto fetched = fetch_now(std::move(wanted), from, until);
    if (!fetched) {
        sources.resolver = [reason = std::move(fetched.error())](const secret_reference&) {
            return result<std::string>(std::unexpected(reason));
        };
        return;
    }
    const auto values = std::make_shared<reference_values>(std::move(*fetched));
    sources.resolver = [values](const secret_reference& which) {
        return values->find(which);
    };
}

}  // namespace hearth::aws
