#pragma once

// The one place that includes liburing. <linux/io_uring.h> must not come before it: under C++ that
// places io_uring_buf_ring::bufs at offset 8, and every provided buffer would be off by eight
// bytes.
#include <cstddef>

#include <liburing.h>

static_assert(offsetof(io_uring_buf_ring, bufs) == 0, "liburing.h was not included first");
