#include "tests/integration/worker/worker_fixture.h"

#include <atomic>
#include <filesystem>

#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/ids.h"
#include "coro/when_all.h"
#include "tests/support/sockets.h"

namespace hearth::test {
namespace {

constexpr seconds patience{60};

std::string sha256_of(const std::string& content) {
    std::array<std::byte, 32> hash;
    ::SHA256(reinterpret_cast<const unsigned char*>(content.data()), content.size(),
             reinterpret_cast<unsigned char*>(hash.data()));
    return to_hex(hash);
}

bool has_cgroups(const std::string& instance) {
    std::error_code ignored;
    const auto end = std::filesystem::recursive_directory_iterator();
    for (auto each = std::filesystem::recursive_directory_iterator("/sys/fs/cgroup", ignored);
         each != end; each.increment(ignored)) {
        if (each->path().filename() == concat("hearth-", instance)) {
            return true;
        }
    }
    return false;
}

}  // namespace

void worker_fixture::SetUp() {
    ::umask(022);
    static std::atomic<int> count = 0;
    launch_ = {.program = HEARTH_SANDBOXD_PATH,
               .instance = concat("worker-test-", ::getpid(), "-", ++count),
               .runtime_dir = HEARTH_RUNTIME_DIR,
               .slots = 32};
    options_.dispatch.memory_budget_mb = 4096;
}

void worker_fixture::open() {
    std::filesystem::create_directory(directory_.file("unpacked"));
    options_.code_folder = directory_.file("unpacked");
    auto launched = sandbox::client::launch(launch_, after(patience));
    ASSERT_TRUE(launched) << launched.error().message;
    sandboxd_ = launched->process();
    auto ring = uring::ring::create();
    ASSERT_TRUE(ring) << ring.error().message;
    loop_ = std::move(*ring);
    blocking_ = std::make_unique<thread_pool>(2, 1000);
    auto store = embedded::code_store::open(directory_.file("code"), *blocking_);
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
    auto program = faas::confined_intake::open_program(HEARTH_UNPACK_PATH);
    ASSERT_TRUE(program) << program.error().message;
    auto archives = faas::confined_intake::create(std::move(*program), *blocking_);
    ASSERT_TRUE(archives) << archives.error().message;
    archives_ = std::move(*archives);
    auto made = worker::worker::create(*loop_, std::move(*launched), *store_, *archives_,
                                       *blocking_, metrics_, options_);
    ASSERT_TRUE(made) << made.error().message;
    worker_ = std::move(*made);
}

void worker_fixture::TearDown() {
    worker_.reset();
    archives_.reset();
    store_.reset();
    blocking_.reset();
    loop_.reset();
    if (expect_lost_) {
        // What a killed hearth-sandboxd leaves, the next one of its instance removes.
        auto next = sandbox::client::launch(launch_, after(seconds(20)));
        ASSERT_TRUE(next) << next.error().message;
        EXPECT_TRUE(next->close_and_wait(after(seconds(20))));
    }
    EXPECT_FALSE(has_cgroups(launch_.instance));
}

task<void> worker_fixture::drain(milliseconds grace) {
    drained_ = true;
    co_await worker_->drain(after(grace));
    EXPECT_EQ(dispatch().live(), 0u);
    EXPECT_EQ(dispatch().busy(), 0u);
    EXPECT_EQ(dispatch().waiting(), 0u);
    EXPECT_EQ(dispatch().idle(), 0u);
    EXPECT_EQ(dispatch().memory_used_mb(), 0);
}

void worker_fixture::run(std::function<task<void>()> body) {
    if (worker_ == nullptr) {
        open();
    }
    loop_->run([](worker_fixture& self, std::function<task<void>()> during) -> task<void> {
        co_await during();
        if (!self.drained_) {
            co_await self.drain();
        }
        co_await self.archives_->finish();
    }(*this, std::move(body)));
}

worker_fixture::shared_function worker_fixture::function(const std::string& source,
                                                         std::int64_t timeout_ms,
                                                         std::int64_t memory_mb) {
    auto made = std::make_shared<faas::function>();
    made->id = make_uuid();
    made->name = "probe";
    made->runtime = "python";
    made->handlers = {"main.handler"};
    made->handler = "main.handler";
    made->timeout_ms = timeout_ms;
    made->memory_mb = memory_mb;
    made->code_file = "main.py";
    made->code_sha256 = sha256_of(source);
    made->code_size = static_cast<std::int64_t>(source.size());
    // The store's own layout: blocking put() would need the loop, which may be running.
    const std::string path = directory_.file("code/" + made->code_sha256);
    const unique_fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    write_fully(file, source);
    return made;
}

worker_fixture::shared_function worker_fixture::next_revision(const shared_function& old) {
    auto made = std::make_shared<faas::function>(*old);
    ++made->revision;
    return made;
}

task<worker_fixture::invoked> worker_fixture::invoke(shared_function target, std::string event,
                                                     deadline until) {
    const faas::invocation call{
        .job_id = make_uuid(), .request_id = "request-1", .target = target, .event = event};
    co_return co_await worker_->invoke(call, until);
}

task<std::vector<worker_fixture::invoked>> worker_fixture::invoke_many(shared_function target,
                                                                       std::size_t count,
                                                                       std::string event) {
    std::vector<task<invoked>> calls;
    for (std::size_t i = 0; i < count; ++i) {
        calls.push_back(invoke(target, event));
    }
    return when_all(std::move(calls));
}

task<void> worker_fixture::until(std::function<bool()> holds) {
    const deadline latest = after(patience);
    while (!holds()) {
        if (steady_clock::now() > latest) {
            ADD_FAILURE() << "what the test waits for never came\n" << loop_->dump_tasks();
            co_return;
        }
        co_await sleep_until(after(milliseconds(1)));
    }
}

std::string text_of(const result<faas::outcome>& end) {
    if (!end) {
        return "(refused) " + end.error().message;
    }
    return end->status == faas::invocation_status::succeeded
               ? end->result_json
               : concat("(", end->error_type, ") ", end->error_message);
}

std::string error_of(const result<faas::outcome>& end) {
    return end && end->status == faas::invocation_status::failed ? end->error_type : text_of(end);
}

}  // namespace hearth::test
