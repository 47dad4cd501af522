#pragma once

#include "coro/thread_pool.h"
#include "faas/archive_intake.h"

namespace hearth::test {

// Reads archives in the test's own process: for tests of those who ask, on a loop without a ring.
class direct_intake final : public faas::archive_intake {
public:
    explicit direct_intake(thread_pool& pool) : pool_(pool) {}

    task<result<faas::archive_summary>> check(int zip_file, deadline) override {
        co_return co_await in_pool([=] { return faas::check_archive(zip_file); });
    }
    task<result<faas::archive_summary>> unpack(int zip_file, int directory, deadline) override {
        co_return co_await in_pool([=] { return faas::unpack_archive(zip_file, directory); });
    }

private:
    template <class Work>
    task<result<faas::archive_summary>> in_pool(Work work) {
        auto done = co_await pool_.run(work);
        co_return done ? std::move(*done) : propagate(done);
    }

    thread_pool& pool_;
};

}  // namespace hearth::test
