// Counts what a program asks of malloc and of operator new, for tests/perf/budget_test.py:
// preloaded, it keeps the count in the file that HEARTH_COUNT_FILE names, where the test reads it
// while the program runs. Only of programs called HEARTH_COUNT_PROGRAM: their children inherit the
// preloading.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

// What stands behind this in the order of libraries: the program's own allocator. Its operator new
// does not pass by malloc.
#define FORWARDED(name, parameters, arguments)                       \
    void* name parameters {                                          \
        static void*(*next)parameters;                               \
        if (next == NULL) {                                          \
            next = (void*(*)parameters)dlsym(RTLD_NEXT, #name);      \
        }                                                            \
        atomic_fetch_add_explicit(counter, 1, memory_order_relaxed); \
        return next arguments;                                       \
    }

FORWARDED(malloc, (size_t size), (size))
FORWARDED(calloc, (size_t number, size_t size), (number, size))
FORWARDED(realloc, (void* old, size_t size), (old, size))
FORWARDED(aligned_alloc, (size_t alignment, size_t size), (alignment, size))
FORWARDED(_Znwm, (size_t size), (size))
FORWARDED(_Znam, (size_t size), (size))
FORWARDED(_ZnwmSt11align_val_t, (size_t size, size_t alignment), (size, alignment))
