#include "sandbox/embedded_python.h"

#include <array>
#include <climits>
#include <cstdlib>

#include <Python.h>
#include <unistd.h>

#include "base/concat.h"

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

template <class... Arguments>
bool call(const char* function, const char* format = nullptr, Arguments... arguments) {
    PyObject* module = PyImport_ImportModule(module_name);
    PyObject* outcome =
        module == nullptr ? nullptr : PyObject_CallMethod(module, function, format, arguments...);
    Py_XDECREF(module);
    Py_XDECREF(outcome);
    return outcome != nullptr;
}

}  // namespace

result<> prepare(const std::string& python) {
    if (auto ok = check_version(python); !ok) {
        return ok;
    }
    if (auto ok = start_interpreter(python); !ok) {
        return ok;
    }
    PyObject* directory = PyUnicode_FromWideChar(runtime_directory, -1);
    const bool added =
        directory != nullptr && PyList_Insert(PySys_GetObject("path"), 0, directory) == 0;
    Py_XDECREF(directory);
    if (!added || !call("prepare")) {
        PyErr_Print();
        return fail(errc::unavailable, "the zygote's modules could not be imported; see above");
    }
    return {};
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
    if (!call("serve", "(i)", is_parked ? 1 : 0)) {
        PyErr_Print();
    }
    ::_exit(1);
}

}  // namespace hearth::sandbox::embedded_python
