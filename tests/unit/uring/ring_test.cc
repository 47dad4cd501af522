#include "uring/ring.h"

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include "coro/event.h"
#include "coro/remote.h"
#include "coro/thread_pool.h"
#include "coro/yield.h"
#include "tests/support/sockets.h"
#include "tests/support/test_executor.h"
#include "uring/operation.h"

namespace hearth::uring {
namespace {

using test::bytes_of;
using test::make_socket_pair;
using test::soon;
using test::write_fully;

std::unique_ptr<ring> make_ring(const ring_options& options = {}) {
    auto made = ring::create(options);
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
}

task<int> immediately(int value) {
    co_return value;
}
task<> receive_one(int fd, int& received, std::size_t& in_flight_max) {
    std::string byte(1, '\0');
    auto count = co_await receive(fd, bytes_of(byte), soon());
    received += count && *count == 1 ? 1 : 0;
    in_flight_max = std::max<std::size_t>(in_flight_max, ring::current().in_flight());
}

TEST(ring, returns_when_its_main_task_ends_though_nothing_is_left_to_complete) {
    auto loop = make_ring();
    EXPECT_EQ(loop->run(immediately(1)), 1);
    EXPECT_EQ(loop->run(immediately(2)), 2);
}

TEST(ring, refuses_options_that_cannot_work_and_says_which) {
    for (const ring_options& wrong :
         {ring_options{.submission_entries = 0}, ring_options{.completion_entries = 64},
          ring_options{.submission_entries = 512, .completion_entries = 256},
          ring_options{.buffer_count = 1000}, ring_options{.buffer_count = 2},
          ring_options{.buffer_count = 1 << 16}, ring_options{.buffer_bytes = 0}}) {
        const auto made = ring::create(wrong);
        ASSERT_FALSE(made);
        EXPECT_EQ(made.error().code, errc::invalid_argument);
        EXPECT_EQ(executor::current(), nullptr);
    }
}

TEST(ring, leaves_no_descriptor_behind) {
    const auto before = test::open_descriptors();
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(make_ring()->run(immediately(i)), i);
    }
    EXPECT_EQ(test::open_descriptors(), before);
    EXPECT_EQ(executor::current(), nullptr);
}

TEST(ring_death, a_thread_has_one_ring) {
    EXPECT_DEATH(
        {
            auto one = make_ring();
            auto two = make_ring();
        },
        "has an event loop already");
}

TEST(ring, keeps_operations_in_flight_below_the_completion_queues_size) {
    constexpr unsigned completion_entries = 128;
    constexpr std::size_t pairs = 10 * completion_entries;
    auto loop = make_ring({.submission_entries = 32, .completion_entries = completion_entries});
    std::vector<test::fd_pair> sockets(pairs);
    for (auto& each : sockets) {
        each = make_socket_pair();
    }
    int received = 0;
    std::size_t in_flight_max = 0;
    loop->run([](std::vector<test::fd_pair>& all, int& count, std::size_t& most) -> task<> {
        scope tasks;
        for (auto& each : all) {
            tasks.spawn(receive_one(each.ours.get(), count, most));
        }
        // Until all stand in line, nothing can be received. Then what is in the kernel is served
        // first, and each that ends makes room for the next.
        co_await sleep_until(after(milliseconds(1)));
        for (auto& each : all) {
            write_fully(each.theirs, "x");
        }
        co_await tasks.join();
    }(sockets, received, in_flight_max));
    EXPECT_EQ(received, static_cast<int>(pairs));
    EXPECT_LE(in_flight_max, completion_entries);
    EXPECT_GT(loop->statistics().budget_waits, 0U);
}

TEST(ring, stop_also_ends_operations_that_wait_for_room) {
    auto loop = make_ring({.submission_entries = 32, .completion_entries = 128});
    const auto quiet = make_socket_pair();
    int received = 0;
    std::size_t in_flight_max = 0;
    loop->run([](int fd, int& count, std::size_t& most) -> task<> {
        scope tasks;
        for (int i = 0; i < 1000; ++i) {
            tasks.spawn(receive_one(fd, count, most));
        }
        co_await sleep_until(after(milliseconds(1)));
        EXPECT_EQ(tasks.size(), 1000U);
        tasks.request_stop();
        co_await tasks.join();
    }(quiet.ours.get(), received, in_flight_max));
    EXPECT_EQ(received, 0);
    EXPECT_LE(in_flight_max, 128U);
}

TEST(ring, a_full_submission_queue_is_handed_over_at_once) {
    auto loop = make_ring({.submission_entries = 8, .completion_entries = 4096});
    const unique_fd counter(::eventfd(1, EFD_CLOEXEC));
    loop->run([](int fd) -> task<> {
        scope tasks;
        int ready = 0;
        for (int i = 0; i < 500; ++i) {
            tasks.spawn([](int polled, int& count) -> task<> {
                count += co_await poll_once(polled, POLLIN, soon()) ? 1 : 0;
            }(fd, ready));
        }
        co_await tasks.join();
        EXPECT_EQ(ready, 500);
    }(counter.get()));
    EXPECT_GT(loop->statistics().queue_full, 0U);
}

TEST(ring, timers_cost_no_submission) {
    auto loop = make_ring();
    const auto before = loop->statistics().submissions;
    loop->run([]() -> task<> {
        scope tasks;
        for (int i = 0; i < 1000; ++i) {
            tasks.spawn([](deadline due) -> task<> {
                EXPECT_TRUE(co_await sleep_until(due));
                EXPECT_GE(steady_clock::now(), due);
            }(after(microseconds(i * 10))));
        }
        co_await tasks.join();
    }());
    EXPECT_EQ(loop->statistics().submissions, before);
}

TEST(ring, an_idle_loop_makes_no_turns) {
    auto loop = make_ring();
    const auto before = loop->statistics().turns;
    loop->run([]() -> task<> {
        EXPECT_TRUE(co_await sleep_until(after(milliseconds(100))));
    }());
    // Start, the wait, the timer; a few more where the kernel wakes early.
    EXPECT_LE(loop->statistics().turns - before, 8U);
}

TEST(ring, completions_are_served_though_coroutines_are_always_ready) {
    auto loop = make_ring();
    auto pair = make_socket_pair();
    loop->run([](test::fd_pair& both) -> task<> {
        scope tasks;
        int received = 0;
        std::size_t unused = 0;
        tasks.spawn(receive_one(both.ours.get(), received, unused));
        write_fully(both.theirs, "x");
        // NOLINTNEXTLINE(bugprone-infinite-loop): another coroutine ends it.
        while (received == 0) {
            co_await yield();
        }
        co_await tasks.join();
        EXPECT_EQ(received, 1);
    }(pair));
}

TEST(ring, timers_fire_though_coroutines_are_always_ready) {
    auto loop = make_ring();
    loop->run([]() -> task<> {
        scope tasks;
        bool fired = false;
        tasks.spawn([](bool& flag) -> task<> {
            EXPECT_TRUE(co_await sleep_until(after(milliseconds(1))));
            flag = true;
        }(fired));
        // NOLINTNEXTLINE(bugprone-infinite-loop): another coroutine ends it.
        while (!fired) {
            co_await yield();
        }
        co_await tasks.join();
    }());
}

TEST(ring, is_woken_by_the_results_of_other_threads) {
    auto loop = make_ring();
    thread_pool pool(4, 1000);
    loop->run([](thread_pool& threads) -> task<> {
        scope tasks;
        int sum = 0;
        for (int i = 0; i < 500; ++i) {
            tasks.spawn([](thread_pool& workers, int number, int& total) -> task<> {
                auto got = co_await workers.run([number] { return number; });
                total += got.value();
            }(threads, i, sum));
        }
        co_await tasks.join();
        EXPECT_EQ(sum, 124'750);
    }(pool));
}

struct served_ring {
    ring* loop;
    event* quit;
};

task<int> set_event(event& which) {
    which.set();
    co_return 0;
}

TEST(ring, two_rings_on_two_threads_call_each_other) {
    std::promise<served_ring> started;
    std::thread other([&started] {
        auto mine = make_ring();
        event quit;
        started.set_value({mine.get(), &quit});
        EXPECT_TRUE(mine->run(quit.wait(soon())));
    });
    const served_ring there = started.get_future().get();
    auto home = make_ring();
    home->run([](served_ring target) -> task<> {
        ring& far = *target.loop;
        scope callers;
        int sum = 0;
        for (int i = 0; i < 300; ++i) {
            callers.spawn([](ring& to, int number, int& total) -> task<> {
                total += co_await run_on(to, to.remote_tasks(), [number] {
                    return [](int n) -> task<int> {
                        EXPECT_TRUE(co_await sleep_until(after(microseconds(100))));
                        co_return n;
                    }(number);
                });
            }(far, i, sum));
        }
        co_await callers.join();
        EXPECT_EQ(sum, 44'850);
        std::ignore = co_await run_on(far, far.remote_tasks(),
                                      [quit = target.quit] { return set_event(*quit); });
    }(there));
    other.join();
}

TEST(ring, shows_where_its_tasks_wait) {
    auto loop = make_ring();
    const auto quiet = make_socket_pair();
    const std::string dump = loop->run([](int fd) -> task<std::string> {
        scope tasks;
        int received = 0;
        std::size_t unused = 0;
        tasks.spawn(receive_one(fd, received, unused));
        co_await sleep_until(after(milliseconds(1)));
        std::string text = executor::current()->dump_tasks();
        tasks.request_stop();
        co_await tasks.join();
        co_return text;
    }(quiet.ours.get()));
    EXPECT_THAT(dump, testing::ContainsRegex("receive_one.*ring_test.cc:[1-9]"));
}

}  // namespace
}  // namespace hearth::uring
