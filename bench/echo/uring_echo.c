// The floor for an HTTP server on io_uring: one thread, multishot accept, multishot receive into a
// ring of buffers, one send for each received piece. It parses nothing: a piece that ends with an
// empty line counts as one request and gets the same response. wrk sends one request at a time on a
// connection and a request fits a buffer, so this holds there and nowhere else.
//
// hearth-bench-echo PORT_FILE: listens on a free loopback port and writes its number to the file.
#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { entries = 1024, buffer_count = 1024, buffer_size = 2048, group = 0 };
enum { operation_accept, operation_receive, operation_send };

static const char response[] =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n"
    "{\"status\":\"ok\"}";
static char buffers[buffer_count][buffer_size];
static struct io_uring ring;

static void start(int operation, int fd) {
    struct io_uring_sqe* entry = io_uring_get_sqe(&ring);
    if (entry == NULL) {
        io_uring_submit(&ring);
        entry = io_uring_get_sqe(&ring);
    }
    if (operation == operation_accept) {
        io_uring_prep_multishot_accept(entry, fd, NULL, NULL, 0);
    } else if (operation == operation_receive) {
        io_uring_prep_recv_multishot(entry, fd, NULL, 0, 0);
        entry->flags |= IOSQE_BUFFER_SELECT;
        entry->buf_group = group;
    } else {
        io_uring_prep_send(entry, fd, response, sizeof(response) - 1, MSG_NOSIGNAL);
    }
    io_uring_sqe_set_data64(entry, ((uint64_t)operation << 32) | (uint32_t)fd);
}

static int listen_on_loopback(const char* port_file) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    if (fd < 0 || bind(fd, (struct sockaddr*)&address, size) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr*)&address, &size) != 0) {
        perror("listen");
        exit(1);
    }
    FILE* file = fopen(port_file, "w");
    if (file == NULL || fprintf(file, "%d\n", ntohs(address.sin_port)) < 0 || fclose(file) != 0) {
        perror(port_file);
        exit(1);
    }
    return fd;
}

static void on_completion(struct io_uring_cqe* completion, struct io_uring_buf_ring* pool) {
    int operation = (int)(completion->user_data >> 32);
    int fd = (int)(uint32_t)completion->user_data;
    int more = (completion->flags & IORING_CQE_F_MORE) != 0;
    if (operation == operation_accept) {
        if (completion->res >= 0) {
            int on = 1;
            setsockopt(completion->res, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            start(operation_receive, completion->res);
        }
        if (!more) {
            start(operation_accept, fd);
        }
        return;
    }
    if (operation == operation_send) {
        return;
    }
    if (completion->res > 0) {
        unsigned index = completion->flags >> IORING_CQE_BUFFER_SHIFT;
        const char* end = buffers[index] + completion->res;
        if (completion->res >= 4 && memcmp(end - 4, "\r\n\r\n", 4) == 0) {
            start(operation_send, fd);
        }
        io_uring_buf_ring_add(pool, buffers[index], buffer_size, (unsigned short)index,
                              io_uring_buf_ring_mask(buffer_count), 0);
        io_uring_buf_ring_advance(pool, 1);
    }
    if (!more && (completion->res > 0 || completion->res == -ENOBUFS)) {
        start(operation_receive, fd);
    } else if (!more) {
        close(fd);
    }
}

int main(int count, char** arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: hearth-bench-echo PORT_FILE\n");
        return 2;
    }
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = 8 * entries,
    };
    int failed = 0;
    struct io_uring_buf_ring* pool = NULL;
    if (io_uring_queue_init_params(entries, &ring, &parameters) == 0) {
        struct io_uring_buf_reg registration = {.ring_entries = buffer_count, .bgid = group};
        size_t bytes = buffer_count * sizeof(struct io_uring_buf);
        if (posix_memalign((void**)&pool, 4096, bytes) == 0) {
            registration.ring_addr = (uintptr_t)pool;
            failed = io_uring_register_buf_ring(&ring, &registration, 0);
        }
    }
    if (pool == NULL || failed != 0) {
        fprintf(stderr, "this kernel or container does not allow io_uring with buffer rings\n");
        return 1;
    }
    io_uring_buf_ring_init(pool);
    for (unsigned index = 0; index < buffer_count; ++index) {
        io_uring_buf_ring_add(pool, buffers[index], buffer_size, (unsigned short)index,
                              io_uring_buf_ring_mask(buffer_count), (int)index);
    }
    io_uring_buf_ring_advance(pool, buffer_count);
    start(operation_accept, listen_on_loopback(arguments[1]));
    for (;;) {
        io_uring_submit_and_wait(&ring, 1);
        unsigned head;
        unsigned seen = 0;
        struct io_uring_cqe* completion;
        io_uring_for_each_cqe(&ring, head, completion) {
            on_completion(completion, pool);
            ++seen;
        }
        io_uring_cq_advance(&ring, seen);
    }
}
