#include "aws/credential_chain.h"

#include <algorithm>
#include <limits>

#include "base/concat.h"
#include "base/ids.h"
#include "base/log.h"

namespace hearth::aws {
namespace {

// What is signed now must still be good when it arrives.
constexpr milliseconds life_min{10'000};

milliseconds random_between(milliseconds least, milliseconds most) {
    const auto span = static_cast<std::uint64_t>(std::max<std::int64_t>((most - least).count(), 0));
    return least + milliseconds(static_cast<std::int64_t>(random_u64() % (span + 1)));
}

}  // namespace

credential_chain::credential_chain(std::vector<std::unique_ptr<credential_provider>> places,
                                   credential_chain_options options)
    : places_(std::move(places)), options_(std::move(options)) {}

std::unique_ptr<credential_chain> credential_chain::standard(const provider_parts& parts,
                                                             credential_chain_options options) {
    std::vector<std::unique_ptr<credential_provider>> places;
    places.push_back(environment_provider(parts.from));
    places.push_back(profile_provider(parts));
    places.push_back(web_identity_provider(parts));
    if (value_of(parts.from, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
        value_of(parts.from, "AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
        places.push_back(container_provider(parts));
    } else {
        places.push_back(imds_provider(parts));
    }
    return std::make_unique<credential_chain>(std::move(places), std::move(options));
}

std::string_view credential_chain::source() const noexcept {
    return found_ == nullptr ? std::string_view() : found_->name();
}

bool credential_chain::usable() const {
    return held_ && (!held_->expires || options_.now() + life_min.count() < *held_->expires);
}

task<result<credentials>> credential_chain::get(deadline until) {
    for (;;) {
        // Somebody else's renewal is waited for only where the old ones would be refused again.
        if (usable() && !refused_ && (options_.now() < renew_at_ || renewing_)) {
            co_return held_->keys;
        }
        if (!renewing_) {
            auto renewed = co_await renew(until);
            if (!renewed && !usable()) {
                co_return propagate(renewed);
            }
            co_return held_->keys;
        }
        if (auto woken = co_await renewed_.wait(until); !woken) {
            co_return propagate(woken);
        }
    }
}

task<result<>> credential_chain::renew(deadline until) {
    renewing_ = true;
    auto fresh = co_await search(until);
    renewing_ = false;
    refused_ = false;  // if there are no others, these are all there is
    renewed_.notify_all();
    if (fresh) {
        ++counts_.fetched;
        keep(std::move(*fresh));
        if (!usable()) {
            // The place itself hands out expired ones: its own renewal is what fails.
            if (!extend()) {
                co_return fail(errc::permission_denied,
                               concat(source(), " gives credentials that have expired"));
            }
        }
        co_return result<>{};
    }
    if (fresh.error().code == errc::cancelled) {
        co_return propagate(fresh);
    }
    ++counts_.failed;
    if (!held_) {
        co_return propagate(fresh);
    }
    log::warning(
        "AWS credentials could not be renewed",
        {{"source", source()}, {"stillGood", usable()}, {"reason", fresh.error().message}});
    if (usable()) {
        postpone(options_.retry_pause);
    } else if (!extend()) {
        held_.reset();
        found_ = nullptr;  // the next search starts from the first place
        co_return propagate(fresh);
    }
    co_return result<>{};
}

task<result<issued_credentials>> credential_chain::search(deadline until) {
    if (found_ != nullptr) {
        co_return co_await found_->fetch(until);
    }
    std::string tried;
    for (const auto& place : places_) {
        auto got = co_await place->fetch(until);
        if (got) {
            found_ = place.get();
            log::info("AWS credentials found", {{"source", place->name()}});
            co_return got;
        }
        if (got.error().code != errc::not_found) {
            got.error().message =
                concat("AWS credentials from ", place->name(), ": ", got.error().message);
            co_return got;
        }
        tried += concat(tried.empty() ? "" : "; ", place->name(), ": ", got.error().message);
    }
    co_return fail(errc::permission_denied, concat("no AWS credentials were found (", tried, ")"));
}

void credential_chain::keep(issued_credentials fresh) {
    held_ = std::move(fresh);
    renew_at_ = std::numeric_limits<epoch_ms>::max();
    if (held_->expires) {
        const auto life = milliseconds(*held_->expires - options_.now());
        const auto ahead = std::min(random_between(options_.ahead_min, options_.ahead_max),
                                    std::max(life / 4, milliseconds(0)));
        renew_at_ = *held_->expires - ahead.count();
    }
}

void credential_chain::postpone(milliseconds pause) {
    renew_at_ = options_.now() + random_between(pause / 2, pause * 3 / 2).count();
}

bool credential_chain::extend() {
    if (found_ == nullptr || !found_->outlives_expiry()) {
        return false;
    }
    ++counts_.extended;
    const auto longer = random_between(options_.ahead_min, options_.ahead_max);
    held_->expires = options_.now() + longer.count() + life_min.count();
    renew_at_ = options_.now() + longer.count();
    log::warning("AWS credentials have expired and are used further, as EC2 allows in an outage",
                 {{"source", source()}, {"forMs", longer.count()}});
    return true;
}

void credential_chain::refused(const credentials& which) {
    if (held_ && held_->keys.access_key_id == which.access_key_id &&
        held_->keys.session_token == which.session_token) {
        renew_at_ = 0;
        refused_ = true;
    }
}

}  // namespace hearth::aws
