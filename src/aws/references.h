#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "aws/client.h"
#include "aws/settings.h"
#include "base/settings.h"

// What settings refer to in Systems Manager and Secrets Manager. Settings are read at once, while
// services answer in their own time; so all references are fetched first, and settings::load() then
// finds each value, or its problem, ready.

namespace hearth::aws {

// Value or problem of each reference. Values are secrets: they are in no message.
class reference_values {
public:
    // As setting_sources::resolver wants it; this outlives what it is given to.
    [[nodiscard]] std::function<result<std::string>(const secret_reference&)> resolver() const;
    // errc::not_found for a reference that was not fetched.
    [[nodiscard]] result<std::string> find(const secret_reference& which) const;

private:
    friend task<reference_values> fetch_references(std::vector<secret_reference>, client&, client&,
                                                   deadline);
    using name = std::pair<secret_service, std::string>;
    std::map<name, result<std::string>> whole_;  // before a member is taken
};

// How many are asked for at once: AWS's quotas are per second and shared by a whole fleet's start.
inline constexpr std::size_t references_at_once = 8;

// Asks for each parameter and secret once, however many settings or members refer to it. Never
// fails as a whole: settings::load() tells every problem. Ring thread only.
task<reference_values> fetch_references(std::vector<secret_reference> wanted, client& ssm,
                                        client& secrets, deadline until);

// All that a program does about references, before it has a ring: finds them, fetches them with the
// credentials of `from` and sets `sources.resolver`; does nothing at all when there is none. The
// calling thread waits, `until` at most. What goes wrong becomes a problem of each setting that has
// a reference.
void resolve_references(std::span<const setting> declared, setting_sources& sources,
                        const environment& from, deadline until);

}  // namespace hearth::aws
