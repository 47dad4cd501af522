// Counts what a program asks of malloc, for tests/perf/budget_test.py: preloaded, it keeps the
// count in the file that HEARTH_COUNT_FILE names, where the test reads it while the program runs.
// Only of programs called HEARTH_COUNT_PROGRAM: their children inherit the preloading.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern void* __libc_malloc(size_t size);
extern void* __libc_calloc(size_t count, size_t size);
extern void* __libc_realloc(void* old, size_t size);
extern void* __libc_memalign(size_t alignment, size_t size);

static _Atomic uint64_t unseen;
static _Atomic uint64_t* counter = &unseen;

__attribute__((constructor)) static void open_counter(void) {
    const char* path = getenv("HEARTH_COUNT_FILE");
    const char* program = getenv("HEARTH_COUNT_PROGRAM");
    if (path == NULL || program == NULL || strcmp(program, program_invocation_short_name) != 0) {
        return;
    }
    const int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) {
        return;
    }
    void* shared = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (shared != MAP_FAILED) {
        counter = shared;
    }
}

static void count(void) {
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

void* malloc(size_t size) {
    count();
    return __libc_malloc(size);
}

void* calloc(size_t number, size_t size) {
    count();
    return __libc_calloc(number, size);
}

void* realloc(void* old, size_t size) {
    count();
    return __libc_realloc(old, size);
}

void* aligned_alloc(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void** made, size_t alignment, size_t size) {
    count();
    void* memory = __libc_memalign(alignment, size);
    if (memory == NULL) {
        return ENOMEM;
    }
    *made = memory;
    return 0;
}
