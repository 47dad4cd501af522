#pragma once

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "coro/thread_pool.h"
#include "embedded/code_store.h"
#include "embedded/database.h"
#include "embedded/function_table.h"
#include "embedded/invocation_log.h"
#include "embedded/job_queue.h"
#include "embedded/rate_limiter.h"
#include "embedded/result_bus.h"
#include "tests/port/temporary_directory.h"
#include "tests/support/test_executor.h"

// The embedded implementations for the conformance suites, and what their own tests share.

namespace hearth::test {

[[nodiscard]] inline std::unique_ptr<embedded::database> open_database(
    const std::string& path, const embedded::database_settings& settings = {}) {
    auto opened = embedded::database::open(path, settings);
    if (!opened) {
        ADD_FAILURE() << opened.error().message;
        std::abort();
    }
    return std::move(*opened);
}

// Members in this order: the loop outlives what arms its timers and answers to it.
class embedded_fixture {
public:
    test_executor& loop() { return loop_; }
    embedded::database& database() { return *database_; }
    // The process ends and starts again: nothing but the file is left.
    void reopen() {
        database_.reset();
        database_ = open_database(directory_.file("hearth.db"));
    }

protected:
    test_executor loop_;
    temporary_directory directory_;
    std::unique_ptr<embedded::database> database_ = open_database(directory_.file("hearth.db"));
};

class embedded_queue_fixture : public embedded_fixture {
public:
    faas::job_queue& port() { return queue_; }
    void pass(milliseconds time) { passed_ += time; }
    [[nodiscard]] static milliseconds tick() { return milliseconds(50); }
    [[nodiscard]] static bool tells_duplicates() { return true; }

private:
    // Real time, which timers run on, and what the test adds to it.
    milliseconds passed_{0};
    embedded::time_source real_ = embedded::steady_wall_clock();
    embedded::job_queue queue_{*database_, embedded::job_queue::jobs_max_default, [this] {
                                   return real_() + passed_.count();
                               }};
};

class embedded_table_fixture : public embedded_fixture {
public:
    faas::function_table& port() { return table_; }

private:
    embedded::function_table table_{*database_};
};

class embedded_log_fixture : public embedded_fixture {
public:
    faas::invocation_log& port() { return log_; }

private:
    embedded::invocation_log log_{*database_};
};

class embedded_code_fixture {
public:
    test_executor& loop() { return loop_; }
    embedded::code_store& port() { return *store_; }
    [[nodiscard]] std::string directory() const { return directory_.file("code"); }
    void reopen() {
        auto opened = embedded::code_store::open(directory(), pool_);
        ASSERT_TRUE(opened) << opened.error().message;
        store_ = std::move(*opened);
    }

private:
    test_executor loop_;
    temporary_directory directory_;
    thread_pool pool_{2, 64};
    std::unique_ptr<embedded::code_store> store_ =
        std::move(*embedded::code_store::open(directory(), pool_));
};

class embedded_bus_fixture {
public:
    test_executor& loop() { return loop_; }
    embedded::result_bus& port() { return bus_; }
    void settle() { loop_.run_ready_tasks(); }

private:
    test_executor loop_;
    embedded::result_bus bus_;
};

class embedded_limiter_fixture {
public:
    explicit embedded_limiter_fixture(std::int64_t limit)
        : limiter_({.limit = limit, .window = milliseconds(1000), .now = [this] {
                        return now_;
                    }}) {}
    test_executor& loop() { return loop_; }
    embedded::rate_limiter& port() { return limiter_; }
    void pass(milliseconds time) { now_ += time; }

private:
    test_executor loop_;
    steady_time now_{std::chrono::hours(1)};
    embedded::rate_limiter limiter_;
};

}  // namespace hearth::test
