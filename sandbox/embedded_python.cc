#include "sandbox/embedded_python.h"

#include <algorithm>
#include <array>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdlib>

#include <Python.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/unique_fd.h"
#include "sandbox/fork_pages.h"
#include "sandbox/zygote_memory.h"

namespace hearth::sandbox::embedded_python {
namespace {

constexpr const char* module_name = "hearth_zygote";
constexpr const wchar_t* runtime_directory = L"/runtime";

// The library and the program share one standard library, so their versions must be the same.
result<> check_version(const std::string& python) {
    std::array<char, PATH_MAX> real{};
    const std::string wanted = concat("/usr/bin/python", PY_MAJOR_VERSION, ".", PY_MINOR_VERSION);
    if (::realpath(python.c_str(), real.data()) == nullptr || wanted != real.data()) {
        return fail(errc::unavailable,
                    concat("the zygote is built for ", wanted, ", sandboxes use ", python));
    }
    return {};
}

result<> failed(const PyStatus& status) {
    return fail(errc::unavailable,
                concat("Python did not start: ",
                       status.err_msg == nullptr ? "no reason given" : status.err_msg));
}

result<> start_interpreter(const std::string& python) {
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    if (const PyStatus status = Py_PreInitialize(&before); PyStatus_Exception(status)) {
        return failed(status);
    }
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.site_import = 0;
    config.write_bytecode = 0;
    // As the program does: SIGPIPE and SIGXFSZ become exceptions, SIGINT a KeyboardInterrupt.
    config.install_signal_handlers = 1;
    PyStatus status = PyConfig_SetBytesString(&config, &config.program_name, python.c_str());
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    PyConfig_Clear(&config);
    return PyStatus_Exception(status) ? failed(status) : result<>();
}

// The free room between objects is where a fork would put its own, and so copy page after page for
// a few bytes each. Taken here, and never given back, it sends them to fresh pages, side by side.

// Python's small objects: a pool has blocks of one size, and starts with its header. A block right
// behind the header is the first of a pool that nothing lives in.
void occupy_pools() {
    constexpr std::size_t block_step = 16;
    constexpr std::size_t block_max = 512;
    constexpr std::uintptr_t pool_bytes = 16U << 10;
    constexpr std::uintptr_t header_bytes = 48;
    constexpr int blocks_max = 65'536;  // of one size; some megabytes
    for (std::size_t size = block_step; size <= block_max; size += block_step) {
        for (int i = 0; i < blocks_max; ++i) {
            void* block = PyObject_Malloc(size);
            if (block == nullptr ||
                reinterpret_cast<std::uintptr_t>(block) % pool_bytes == header_bytes) {
                PyObject_Free(block);
                break;
            }
        }
    }
}

// The C library's blocks: one that makes the rest at the end of the heap smaller found no hole.
void occupy_heap() {
    constexpr std::size_t largest = 64U << 10;  // beyond, the C library maps memory
    constexpr std::size_t smallest = 24;
    constexpr std::size_t fine_step = 16;
    constexpr std::size_t coarse_from = 1'024;
    constexpr int blocks_max = 65'536;  // another allocator may not tell where its end is
    std::size_t size = largest;
    for (int i = 0; i < blocks_max && size >= smallest; ++i) {
        const std::size_t rest = mallinfo2().keepcost;
        void* volatile block = std::malloc(size);  // or the compiler leaves it out
        if (block == nullptr || mallinfo2().keepcost != rest) {
            std::free(block);
            size -= std::max(size > coarse_from ? size / 16 : 0, fine_step);
        }
    }
}

PyObject* release_memory(PyObject* /*self*/, PyObject* /*none*/) {
    return PyLong_FromSize_t(zygote_memory::release_equal_pages());
}

PyMethodDef release_memory_method{"release_memory", release_memory, METH_NOARGS,
                                  "Shares again what is as it was in the zygote."};

// Looked up ahead: a search writes to many objects.
PyObject* serve_function = nullptr;
PyObject* example_function = nullptr;

bool import_and_prepare(const preparation& wanted) {
    PyObject* module = PyImport_ImportModule(module_name);
    PyObject* release = PyCFunction_New(&release_memory_method, nullptr);
    PyObject* outcome =
        module == nullptr || release == nullptr
            ? nullptr
            : PyObject_CallMethod(module, "prepare", "Oss", release, wanted.family, wanted.modules);
    Py_XDECREF(release);
    if (outcome != nullptr) {
        serve_function = PyObject_GetAttrString(module, "serve");
        example_function = PyObject_GetAttrString(module, "make_example_call");
    }
    Py_XDECREF(module);
    Py_XDECREF(outcome);
    return serve_function != nullptr && example_function != nullptr;
}

// Ends with the zygote, or before, by its hand.
[[noreturn]] void be_example(pid_t zygote, int ready) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    after_fork_in_child();
    if (::getppid() == zygote && PyObject_CallNoArgs(example_function) != nullptr &&
        ::write(ready, "r", 1) == 1) {
        for (;;) {
            ::pause();
        }
    }
    PyErr_Print();
    ::_exit(1);
}

// One fork makes a call in front of everyone, so that the zygote learns what that touches.
result<> learn_from_example(int descriptors) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return fail_errno("a pipe to the zygote's example");
    }
    const unique_fd read_end(ends[0]);
    unique_fd write_end(ends[1]);
    const pid_t zygote = ::getpid();
    before_fork();
    const pid_t example = ::fork();
    if (example == 0) {
        be_example(zygote, write_end.get());
    }
    after_fork_in_parent();
    if (example < 0) {
        return fail_errno("fork of the zygote's example");
    }
    write_end.reset();
    char ready = 0;
    auto learnt = ::read(read_end.get(), &ready, 1) == 1
                      ? fork_pages::learn(descriptors, example)
                      : fail(errc::unavailable, "the zygote's example call failed; see above");
    ::kill(example, SIGKILL);
    ::waitpid(example, nullptr, 0);
    return learnt;
}

}  // namespace

result<> prepare(const preparation& wanted) {
    if (auto ok = check_version(wanted.python); !ok) {
        return ok;
    }
    if (auto ok = start_interpreter(wanted.python); !ok) {
        return ok;
    }
    PyObject* directory = PyUnicode_FromWideChar(runtime_directory, -1);
    const bool added =
        directory != nullptr && PyList_Insert(PySys_GetObject("path"), 0, directory) == 0;
    Py_XDECREF(directory);
    if (!added || !import_and_prepare(wanted)) {
        PyErr_Print();
        return fail(errc::unavailable, "the zygote's modules could not be imported; see above");
    }
    occupy_pools();
    occupy_heap();
    if (auto ok = zygote_memory::move_to_file(wanted.descriptors, wanted.stack); !ok) {
        return ok;
    }
    return learn_from_example(wanted.descriptors);
}

void before_fork() {
    PyOS_BeforeFork();
}

void after_fork_in_parent() {
    PyOS_AfterFork_Parent();
}

void after_fork_in_child() {
    PyOS_AfterFork_Child();
}

void serve(bool is_parked) {
    if (PyObject_CallOneArg(serve_function, is_parked ? Py_True : Py_False) == nullptr) {
        PyErr_Print();
    }
    ::_exit(1);
}

}  // namespace hearth::sandbox::embedded_python
