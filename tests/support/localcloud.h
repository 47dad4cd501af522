#pragma once

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/concat.h"
#include "base/env_file.h"

namespace hearth::test {

// The services of tools/localcloud: a test that asks for the fixture "localcloud" (see
// cmake/hearth_targets.cmake) finds them up. Tests share them and run side by side, so each makes
// what it needs under a name of its own.
//
// To run such a test by hand: HEARTH_TEST_LOCALCLOUD=build/localcloud after tools/localcloud up.
class localcloud {
public:
    localcloud() : variables_(parse_env_file(read())) {
        HEARTH_CHECK(variables_.problems.empty(), "tools/localcloud writes well-formed settings");
    }

    // A variable of its environment: AWS_ENDPOINT_URL_SQS, SQS_URL, TABLE_NAME, REDIS_HOST …
    [[nodiscard]] const std::string& operator[](std::string_view name) const {
        const auto* found = variables_.find(name);
        HEARTH_CHECK(found != nullptr, concat("tools/localcloud has no ", name));
        return found->value;
    }

    // All of them into this process's environment. While there is one thread.
    void export_all() const {
        for (const auto& entry : variables_.entries) {
            ::setenv(entry.name.c_str(), entry.value.c_str(), 1);
        }
    }

private:
    static std::string read() {
        const char* folder = ::getenv("HEARTH_TEST_LOCALCLOUD");
        HEARTH_CHECK(folder != nullptr, "HEARTH_TEST_LOCALCLOUD names the folder of localcloud");
        std::ifstream file(concat(folder, "/environment"));
        HEARTH_CHECK(file.good(), concat(folder, " has no services; tools/localcloud up"));
        return {std::istreambuf_iterator<char>(file), {}};
    }

    env_file variables_;
};

}  // namespace hearth::test
