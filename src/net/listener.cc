#include "net/listener.h"

#include <array>
#include <cerrno>
#include <optional>
#include <string_view>

#include <fcntl.h>
#include <linux/filter.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/concat.h"
#include "net/address.h"
#include "net/socket_stream.h"

namespace hearth::net {

namespace {

// What stands in the way of a Unix socket's file, for people; empty when nothing does. A socket
// file left by a killed process would refuse the bind and is removed. One that a living server
// listens on is kept, and so is a file of any other kind.
std::string_view clear_way(const std::string& path, const address& where) {
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0) {
        return "";
    }
    if (!S_ISSOCK(status.st_mode)) {
        return ", where a file is that is no socket; remove it, or choose another path";
    }
    const unique_fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int connected = probe ? ::connect(probe.get(), where.data(), where.size) : -1;
    if (connected != 0 && errno == ECONNREFUSED) {
        ::unlink(path.c_str());
        return "";
    }
    return ", on which another server listens; stop it, or choose another path";
}

// A file's mode is the process's mask at the bind; to set it afterwards by name would follow
// whatever has taken the name meanwhile.
class masked {
public:
    explicit masked(const socket_file* file) noexcept {
        constexpr mode_t all = 0777;
        if (file != nullptr) {
            before_ = ::umask(all & ~file->mode);
        }
    }
    ~masked() {
        if (before_) {
            ::umask(*before_);
        }
    }
    masked(const masked&) = delete;
    masked& operator=(const masked&) = delete;

private:
    std::optional<mode_t> before_;
};

}  // namespace

result<unique_fd> open_listening_socket(const std::string& text, int backlog,
                                        const socket_file* file) {
    auto where = parse_address(text);
    if (!where) {
        return propagate(where);
    }
    unique_fd fd(::socket(where->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) {
        return fail_errno("socket");
    }
    const int on = 1;
    std::string_view obstacle;
    const bool is_unix = where->family() == AF_UNIX;
    if (is_unix) {
        obstacle = clear_way(text, *where);
    } else {
        ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    }
    {
        const masked mode(is_unix ? file : nullptr);
        if (::bind(fd.get(), where->data(), where->size) != 0) {
            return fail_errno(concat("cannot listen on ", text, obstacle));
        }
    }
    // Nobody can connect before listen().
    if (is_unix && file != nullptr && ::lchown(text.c_str(), file->uid, file->gid) != 0) {
        return fail_errno(concat("cannot give the socket ", text, " to its user"));
    }
    if (::listen(fd.get(), backlog) != 0) {
        return fail_errno(concat("cannot listen on ", text));
    }
    return fd;
}

listener::listener(unique_fd listening)
    : fd_(std::move(listening)),
      acceptor_(uring::ring::current(), fd_.get()),
      port_(local_port(fd_.get())) {}

task<result<std::unique_ptr<stream>>> listener::accept(deadline until) {
    auto accepted = co_await acceptor_.next(until);
    if (!accepted) {
        co_return propagate(accepted);
    }
    std::string peer = peer_name(accepted->get());
    co_return std::make_unique<socket_stream>(std::move(*accepted), std::move(peer));
}

std::unique_ptr<stream> listener::take_ready() {
    unique_fd fd = acceptor_.take_ready();
    if (!fd && draining_ && fd_) {
        fd = unique_fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
    if (!fd) {
        return nullptr;
    }
    std::string peer = peer_name(fd.get());
    return std::make_unique<socket_stream>(std::move(fd), std::move(peer));
}

task<void> listener::stop_queueing() {
    // A listener's socket filter sees handshakes, from the TCP header on, and not the streams that
    // came of them. It drops a SYN without ACK, which asks for a connection, and lets the answer to
    // a SYN-ACK pass, so that handshakes that have begun come to their end.
    constexpr std::uint32_t flags_offset = 13;
    constexpr std::uint32_t syn = 0x02;
    constexpr std::uint32_t syn_or_ack = 0x12;
    constexpr std::uint32_t whole_packet = 0xffffffff;
    std::array program{
        sock_filter BPF_STMT(BPF_LD | BPF_B | BPF_ABS, flags_offset),
        sock_filter BPF_STMT(BPF_ALU | BPF_AND | BPF_K, syn_or_ack),
        sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, syn, 0, 1),
        sock_filter BPF_STMT(BPF_RET | BPF_K, 0),
        sock_filter BPF_STMT(BPF_RET | BPF_K, whole_packet),
    };
    const sock_fprog filter{.len = program.size(), .filter = program.data()};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
    co_await acceptor_.finish();
    ::fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
    draining_ = true;
}

task<void> listener::close() {
    co_await acceptor_.finish();
    fd_.reset();
}

}  // namespace hearth::net
