#include "net/tls.h"

#include <array>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/check.h"
#include "base/concat.h"
#include "coro/gate.h"
#include "coro/semaphore.h"

namespace hearth::net {
namespace {

constexpr std::size_t record_bytes_max = 16 << 10;  // of plain text in one TLS record (RFC 8446)
constexpr std::size_t encrypt_ahead_max = 8 * record_bytes_max;  // not yet sent, per connection

std::string openssl_errors() {
    std::string text;
    char line[256];
    while (const unsigned long code = ERR_get_error()) {
        ERR_error_string_n(code, line, sizeof line);
        text += text.empty() ? "" : "; ";
        text += line;
    }
    return text.empty() ? "unknown TLS error" : text;
}

struct ssl_deleter {
    void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
};
using ssl_handle = std::unique_ptr<SSL, ssl_deleter>;

// One connection. SSL reads cipher text from one memory BIO and writes it to another; the pump
// moves those to and from the inner stream. Sends are serialised, since a read may have to send
// too.
class tls_stream final : public stream {
public:
    tls_stream(std::shared_ptr<const tls_context> context, std::unique_ptr<stream> inner)
        : context_(std::move(context)),
          inner_(std::move(inner)),
          ssl_(SSL_new(context_->native())),
          incoming_(BIO_new(BIO_s_mem())),
          outgoing_(BIO_new(BIO_s_mem())) {
        HEARTH_CHECK(ssl_ != nullptr && incoming_ != nullptr && outgoing_ != nullptr,
                     "out of memory for a TLS connection");
        SSL_set_bio(ssl_.get(), incoming_, outgoing_);  // takes both
    }

    task<result<>> handshake(deadline until) {
        for (;;) {
            ERR_clear_error();
            const int status = SSL_do_handshake(ssl_.get());
            auto flushed = co_await flush(until);  // an alert goes out too
            if (!flushed) {
                co_return flushed;
            }
            if (status == 1) {
                co_return result<>{};
            }
            if (SSL_get_error(ssl_.get(), status) != SSL_ERROR_WANT_READ) {
                co_return fail(errc::protocol, concat("TLS handshake: ", openssl_errors()));
            }
            auto filled = co_await fill(until);
            if (!filled) {
                co_return propagate(filled);
            }
            if (!*filled) {
                co_return fail(errc::closed, "TLS handshake: the peer closed the connection");
            }
        }
    }

    SSL* native() noexcept { return ssl_.get(); }

    task<result<io_buffer>> read(deadline until) override {
        const gate::pass inside(users_);
        std::array<std::byte, record_bytes_max>& plain = *plain_;
        for (;;) {
            ERR_clear_error();
            std::size_t count = 0;
            if (SSL_read_ex(ssl_.get(), plain.data(), plain.size(), &count) == 1) {
                co_return io_buffer::copy_of(std::span(plain.data(), count));
            }
            const int reason = SSL_get_error(ssl_.get(), 0);
            if (reason == SSL_ERROR_ZERO_RETURN) {
                co_return io_buffer();
            }
            const std::string errors =
                reason == SSL_ERROR_WANT_READ ? std::string() : openssl_errors();
            auto flushed = co_await flush_unless_sending(until);
            if (reason != SSL_ERROR_WANT_READ) {
                co_return fail(errc::protocol, concat("TLS: ", errors));
            }
            if (!flushed) {
                co_return propagate(flushed);
            }
            auto filled = co_await fill(until);
            if (!filled) {
                co_return propagate(filled);
            }
            if (!*filled) {
                // Without close_notify the stream may have been cut by an attacker.
                co_return fail(errc::closed, "TLS: the connection ended without close_notify");
            }
        }
    }

    task<result<>> write(write_parts parts, deadline until) override {
        const gate::pass inside(users_);
        for (std::string_view part : parts) {
            while (!part.empty()) {
                const std::string_view piece = part.substr(0, record_bytes_max);
                ERR_clear_error();
                std::size_t count = 0;
                // A memory BIO takes all of it.
                if (SSL_write_ex(ssl_.get(), piece.data(), piece.size(), &count) != 1) {
                    co_return fail(errc::protocol, concat("TLS: ", openssl_errors()));
                }
                part.remove_prefix(piece.size());
                if (BIO_ctrl_pending(outgoing_) >= encrypt_ahead_max) {
                    auto flushed = co_await flush(until);
                    if (!flushed) {
                        co_return flushed;
                    }
                }
            }
        }
        co_return co_await flush(until);
    }

    task<result<>> shutdown_write(deadline until) override {
        const gate::pass inside(users_);
        ERR_clear_error();
        SSL_shutdown(ssl_.get());  // 0: close_notify queued, the peer's not seen yet
        auto flushed = co_await flush(until);
        if (!flushed) {
            co_return flushed;
        }
        co_return co_await inner_->shutdown_write(until);
    }

    task<void> close() override {
        co_await inner_->close();
        co_await users_.all_left();
    }
    [[nodiscard]] const std::string& peer() const noexcept override { return inner_->peer(); }

private:
    task<result<>> flush(deadline until) {
        auto turn = co_await sending_.acquire(until);
        if (!turn) {
            co_return turn;
        }
        result<> sent;
        char* data = nullptr;
        while (sent) {
            const long size = BIO_get_mem_data(outgoing_, &data);
            if (size <= 0) {
                break;
            }
            const std::string cipher_text(data, static_cast<std::size_t>(size));
            BIO_reset(outgoing_);
            sent = co_await inner_->write(cipher_text, until);
        }
        sending_.release();
        co_return sent;
    }

    // Sends what reading gave rise to: answers to key updates, alerts. A writer that is sending
    // takes these along; to wait for it here would keep both ends from reading while both write.
    task<result<>> flush_unless_sending(deadline until) {
        if (BIO_ctrl_pending(outgoing_) == 0 || sending_.available() == 0) {
            co_return result<>{};
        }
        co_return co_await flush(until);
    }

    // Moves received bytes in; false at the end of the stream.
    task<result<bool>> fill(deadline until) {
        auto received = co_await inner_->read(until);
        if (!received) {
            co_return propagate(received);
        }
        if (received->empty()) {
            co_return false;
        }
        const int written =
            BIO_write(incoming_, received->bytes().data(), static_cast<int>(received->size()));
        HEARTH_CHECK(written == static_cast<int>(received->size()), "a memory BIO was full");
        co_return true;
    }

    std::shared_ptr<const tls_context> context_;
    std::unique_ptr<stream> inner_;
    ssl_handle ssl_;
    BIO* incoming_;  // owned by ssl_
    BIO* outgoing_;  // owned by ssl_
    semaphore sending_{1};
    gate users_;
    std::unique_ptr<std::array<std::byte, record_bytes_max>> plain_ =
        std::make_unique<std::array<std::byte, record_bytes_max>>();
};

task<result<std::unique_ptr<stream>>> finish_handshake(std::unique_ptr<tls_stream> made,
                                                       deadline until) {
    auto done = co_await made->handshake(until);
    if (!done) {
        co_await made->close();
        co_return propagate(done);
    }
    co_return std::move(made);
}

}  // namespace

result<std::shared_ptr<const tls_context>> tls_context::for_server(
    const std::string& certificate_file, const std::string& key_file) {
    ERR_clear_error();
    SSL_CTX* context = SSL_CTX_new(TLS_server_method());
    HEARTH_CHECK(context != nullptr, "out of memory for the TLS context");
    std::shared_ptr<const tls_context> made(new tls_context(context));
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_cipher_list(context,
                            "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL:!eNULL:!MD5:!DSS");
    if (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1) {
        return fail(errc::invalid_argument,
                    concat("HEARTH_TLS_CERT: cannot use ", certificate_file,
                           " as a PEM certificate chain: ", openssl_errors()));
    }
    if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        return fail(errc::invalid_argument,
                    concat("HEARTH_TLS_KEY: cannot use ", key_file,
                           " as the PEM key of that certificate: ", openssl_errors()));
    }
    return made;
}

result<std::shared_ptr<const tls_context>> tls_context::for_client(
    const std::string& authorities_file) {
    ERR_clear_error();
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    HEARTH_CHECK(context != nullptr, "out of memory for the TLS context");
    std::shared_ptr<const tls_context> made(new tls_context(context));
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    const int loaded = authorities_file.empty() ? SSL_CTX_set_default_verify_paths(context)
                                                : SSL_CTX_load_verify_locations(
                                                      context, authorities_file.c_str(), nullptr);
    if (loaded != 1) {
        return fail(errc::invalid_argument, concat("cannot load certificate authorities from ",
                                                   authorities_file, ": ", openssl_errors()));
    }
    return made;
}

tls_context::~tls_context() {
    SSL_CTX_free(context_);
}

task<result<std::unique_ptr<stream>>> accept_tls(std::shared_ptr<const tls_context> context,
                                                 std::unique_ptr<stream> inner, deadline until) {
    auto made = std::make_unique<tls_stream>(std::move(context), std::move(inner));
    SSL_set_accept_state(made->native());
    co_return co_await finish_handshake(std::move(made), until);
}

task<result<std::unique_ptr<stream>>> connect_tls(std::shared_ptr<const tls_context> context,
                                                  std::unique_ptr<stream> inner,
                                                  std::string server_name, deadline until) {
    auto made = std::make_unique<tls_stream>(std::move(context), std::move(inner));
    SSL_set_connect_state(made->native());
    if (SSL_set_tlsext_host_name(made->native(), server_name.c_str()) != 1 ||
        SSL_set1_host(made->native(), server_name.c_str()) != 1) {
        co_await made->close();
        co_return fail(errc::invalid_argument, concat("not a host name: ", server_name));
    }
    co_return co_await finish_handshake(std::move(made), until);
}

}  // namespace hearth::net
