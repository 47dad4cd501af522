#include "harness.h"

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/concat.h"
#include "base/json.h"
#include "sandbox/spawner.h"

namespace hearth::sandbox::testing {
namespace {

namespace fs = std::filesystem;

constexpr seconds patience{60};
constexpr std::size_t output_kept_max = 1 << 20;

[[noreturn]] void give_up(const std::string& why) {
    ADD_FAILURE() << why;
    throw std::runtime_error(why);
}

void await_readable(int fd) {
    pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
    const auto timeout = std::chrono::duration_cast<milliseconds>(patience).count();
    if (::poll(&one, 1, static_cast<int>(timeout)) != 1) {
        give_up("nothing arrived in time");
    }
}

void send_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent < 0) {
            return;  // the sandbox ended; what it left is read next
        }
        text.remove_prefix(static_cast<std::size_t>(sent));
    }
}

bool receive_all(int fd, char* to, std::size_t size) {
    while (size > 0) {
        await_readable(fd);
        const ssize_t got = ::recv(fd, to, size, 0);
        if (got <= 0) {
            return false;
        }
        to += got;
        size -= static_cast<std::size_t>(got);
    }
    return true;
}

// The build's own, or those of an installation: the tests also run on other hosts.
std::string path_of(const char* variable, const char* built) {
    const char* installed = std::getenv(variable);
    return installed == nullptr ? built : installed;
}

epoch_ms deadline_from_now() {
    return wall_clock_ms() + 30'000;
}

}  // namespace

code_directory::code_directory(const std::map<std::string, std::string>& files) {
    std::string pattern = (fs::temp_directory_path() / "hearth-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
    fs::permissions(path_, fs::perms(0755));
    for (const auto& [name, text] : files) {
        const fs::path file = fs::path(path_) / name;
        fs::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }
    descriptor_.reset(::open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

code_directory::~code_directory() {
    fs::remove_all(path_);
}

output_reader::output_reader(unique_fd pipe)
    : pipe_(std::move(pipe)), thread_([this] {
          std::vector<char> buffer(1 << 16);
          for (;;) {
              const ssize_t got = ::read(pipe_.get(), buffer.data(), buffer.size());
              if (got <= 0) {
                  return;
              }
              count_ += static_cast<std::uint64_t>(got);
              const std::size_t room = output_kept_max - kept_.size();
              kept_.append(buffer.data(), std::min(room, static_cast<std::size_t>(got)));
          }
      }) {}

output_reader::~output_reader() {
    if (thread_.joinable()) {
        thread_.join();
    }
}

const std::string& output_reader::finish() {
    if (thread_.joinable()) {
        thread_.join();
    }
    return kept_;
}

answer test_sandbox::init(const init_parameters& parameters) {
    const auto frame = encode_init_frame(++nonce_, parameters);
    EXPECT_TRUE(frame.has_value());
    send_all(stream_.get(), *frame);
    return receive();
}

void test_sandbox::send_invoke(std::string_view event, std::string_view request_id) {
    const auto head = encode_invoke_head(++nonce_, deadline_from_now(), request_id, event.size());
    EXPECT_TRUE(head.has_value());
    send_all(stream_.get(), *head);
    send_all(stream_.get(), event);
}

answer test_sandbox::receive() {
    frame_header_bytes bytes{};
    if (!receive_all(stream_.get(), reinterpret_cast<char*>(bytes.data()), bytes.size())) {
        return {};
    }
    const auto header = decode_answer_header(bytes);
    if (!header) {
        give_up(header.error().message);
    }
    EXPECT_EQ(header->nonce, nonce_);
    answer got{.type = header->type, .payload = std::string(header->payload_length, '\0')};
    if (!receive_all(stream_.get(), got.payload.data(), got.payload.size())) {
        return {};
    }
    return got;
}

answer test_sandbox::invoke(std::string_view event, std::string_view request_id) {
    send_invoke(event, request_id);
    return receive();
}

start_way tested_way() {
    const char* name = std::getenv("HEARTH_TEST_WAY");
    const std::string_view way = name == nullptr ? "program" : name;
    if (way == "parked") {
        return start_way::parked;
    }
    return way == "zygote" ? start_way::zygote : start_way::program;
}

launch_options default_options() {
    static std::atomic<int> count = 0;
    return {.program = path_of("HEARTH_SANDBOXD", HEARTH_SANDBOXD_PATH),
            .instance = concat("test-", ::getpid(), "-", ++count),
            .runtime_dir = path_of("HEARTH_RUNTIME", HEARTH_RUNTIME_DIR),
            .slots = 32,
            .parked = tested_way() == start_way::parked ? 2U : 0U,
            .zygote = tested_way() == start_way::program ? zygote_mode::off : zygote_mode::shared,
            // What an ordinary user may have of cgroups differs from host to host.
            .allow_no_limits = ::geteuid() != 0};
}

bool has_limits() {
    static const bool limited = [] {
        launch_options options = default_options();
        options.parked = 0;
        options.zygote = zygote_mode::off;
        sandbox_host host(options);
        const hello_packet hello = host.control().hello();
        host.disconnect();
        return hello.limits_memory == 1 && hello.limits_pids == 1;
    }();
    return limited;
}

init_parameters default_parameters(std::string handler) {
    return {.handlers = {std::move(handler)},
            .function_name = "probe",
            .function_version = "7",
            .function_arn = "arn:hearth:function:probe:7",
            .log_group_name = "/hearth/probe",
            .log_stream_name = "stream",
            .memory_mb = 128};
}

sandbox_host::sandbox_host(const launch_options& options) {
    auto launched = client::launch(options, after(patience));
    if (!launched) {
        give_up(launched.error().message);
    }
    client_ = std::make_unique<client>(std::move(*launched));
    parks_ = options.parked > 0 && tested_way() == start_way::parked;
    const bool has_spares =
        options.zygote != zygote_mode::per_function || options.zygote_spares > 0;
    if (options.zygote != zygote_mode::off && has_spares) {
        await_zygote();
    }
}

void sandbox_host::await_zygote() {
    while (!has_zygote_) {
        if (!keep(next_event())) {
            give_up("an answer that nobody waits for");
        }
    }
}

bool sandbox_host::keep(const received_event& next) {
    if (const auto* exited = std::get_if<exited_packet>(&next.what)) {
        exits_[exited->header.sandbox_id] = *exited;
        return true;
    }
    if (const auto* pool = std::get_if<pool_packet>(&next.what)) {
        parked_ = pool->parked;
        shells_ = pool->shells;
        has_zygote_ = pool->zygote == 1;
        zygotes_ = pool->zygotes;
        return true;
    }
    return false;
}

std::vector<pid_t> sandbox_host::zygotes() const {
    auto found = children_of(client_->process());
    std::erase_if(found, [](pid_t each) { return status_field(each, "Name:") != "hearth-zygote"; });
    return found;
}

void sandbox_host::await_parked(std::uint32_t count) {
    while (parked_ < count) {
        if (!keep(next_event())) {
            give_up("an answer that nobody waits for");
        }
    }
}

void sandbox_host::await_shells(std::uint32_t count) {
    while (shells_ < count) {
        if (!keep(next_event())) {
            give_up("an answer that nobody waits for");
        }
    }
}

event sandbox_host::try_create(const code_directory& code, std::unique_ptr<test_sandbox>& out,
                               create_packet wanted) {
    const bool use_parked = parks_ && fits_parked(wanted);
    while (use_parked && parked_ == 0) {
        keep(next_event());
    }
    wanted.header.sandbox_id = next_id_++;
    auto sent = client_->create(wanted, code.descriptor());
    if (!sent) {
        give_up(sent.error().message);
    }
    for (;;) {
        received_event next = next_event();
        if (keep(next)) {
            continue;
        }
        if (const auto* created = std::get_if<created_packet>(&next.what)) {
            // The test reads with threads, which may block.
            ::fcntl(next.output.get(), F_SETFL, 0);
            out = std::make_unique<test_sandbox>(
                created->header.sandbox_id, std::move(next.control_stream), std::move(next.output));
            out->created = *created;
            if (use_parked) {
                EXPECT_EQ(created->way, start_way::parked);
            }
            parked_ -= created->way == start_way::parked ? 1 : 0;
            out->shown = std::move(next.shown);
        }
        return next.what;
    }
}

std::unique_ptr<test_sandbox> sandbox_host::create(const code_directory& code,
                                                   create_packet wanted) {
    std::unique_ptr<test_sandbox> made;
    const event what = try_create(code, made, wanted);
    if (const auto* failed = std::get_if<create_failed_packet>(&what)) {
        give_up(concat("not created: ", text_of(failed->stage), ": ", text_of(failed->text)));
    }
    EXPECT_TRUE(std::holds_alternative<created_packet>(what));
    return made;
}

std::unique_ptr<test_sandbox> sandbox_host::start(const code_directory& code,
                                                  create_packet wanted) {
    auto made = create(code, wanted);
    EXPECT_TRUE(made->init(default_parameters()).is(frame_type::ready));
    return made;
}

received_event sandbox_host::next_event() {
    for (;;) {
        await_readable(client_->descriptor());
        auto got = client_->receive();
        if (!got) {
            give_up(got.error().message);
        }
        if (got->has_value()) {
            return std::move(**got);
        }
    }
}

exited_packet sandbox_host::await_exit(const test_sandbox& which) {
    while (!exits_.contains(which.id())) {
        keep(next_event());
    }
    return exits_[which.id()];
}

void sandbox_host::kill(const test_sandbox& which) {
    EXPECT_TRUE(client_->kill(which.id()).has_value());
}

void sandbox_host::disconnect(int expected_exit_code) {
    auto status = client_->close_and_wait(after(patience));
    if (!status) {
        give_up(status.error().message);
    }
    EXPECT_TRUE(WIFEXITED(*status));
    EXPECT_EQ(WEXITSTATUS(*status), expected_exit_code);
}

one_run run_function(const std::map<std::string, std::string>& files, std::string_view event,
                     init_parameters parameters, create_packet wanted) {
    const code_directory code(files);
    sandbox_host host;
    auto sandbox = host.create(code, wanted);
    one_run done;
    done.init = sandbox->init(parameters);
    if (done.init.is(frame_type::ready)) {
        done.result = sandbox->invoke(event);
    }
    sandbox->close_stream();
    done.output = sandbox->output().finish();
    host.disconnect();
    return done;
}

std::string result_of(const std::string& source, std::string_view event) {
    const one_run done = run_function({{"main.py", source}}, event);
    EXPECT_TRUE(done.init.is(frame_type::ready)) << done.init.payload << done.output;
    EXPECT_TRUE(done.result.is(frame_type::result)) << done.result.payload << done.output;
    return done.result.payload;
}

std::string member_of(const answer& from, std::string_view name) {
    const auto parsed = json::document::parse(from.payload);
    if (!parsed) {
        return "(not JSON) " + from.payload;
    }
    std::string_view text;
    if (parsed->root()[name].get(text) != simdjson::SUCCESS) {
        return "(absent)";
    }
    return std::string(text);
}

std::vector<std::string> instance_cgroups(const std::string& instance) {
    std::vector<std::string> found;
    std::error_code ignored;
    for (auto each = fs::recursive_directory_iterator("/sys/fs/cgroup", ignored);
         each != fs::recursive_directory_iterator(); each.increment(ignored)) {
        if (each->is_directory(ignored) && each->path().filename() == concat("hearth-", instance)) {
            found.push_back(each->path());
        }
    }
    return found;
}

std::string status_field(pid_t process, std::string_view name) {
    std::ifstream status(concat("/proc/", process, "/status"));
    std::string line;
    while (std::getline(status, line)) {
        if (line.starts_with(name)) {
            return line.substr(line.find_first_not_of(" \t", name.size()));
        }
    }
    return {};
}

std::vector<pid_t> children_of(pid_t parent) {
    std::ifstream list(concat("/proc/", parent, "/task/", parent, "/children"));
    std::vector<pid_t> found;
    pid_t child = 0;
    while (list >> child) {
        found.push_back(child);
    }
    return found;
}

bool process_exists(pid_t process) {
    return ::kill(process, 0) == 0;
}

void await_end(pid_t process) {
    const unique_fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
    if (pidfd) {
        await_readable(pidfd.get());
    }
}

}  // namespace hearth::sandbox::testing
