#include "installation.h"

#include <filesystem>

#include "base/concat.h"

namespace hearth {
namespace {

namespace fs = std::filesystem;

}  // namespace

result<installation> find_installation() {
    std::error_code failed;
    const fs::path program = fs::read_symlink("/proc/self/exe", failed);
    const fs::path prefix = program.parent_path().parent_path();
    installation found{.sandboxd = prefix / "libexec/hearth/hearth-sandboxd",
                       .unpacker = prefix / "libexec/hearth/hearth-unpack",
                       .python_runtime = prefix / "share/hearth/runtimes/python"};
    if (!fs::exists(found.sandboxd, failed)) {
        return fail(errc::not_found,
                    concat("hearth-sandboxd is missing: expected ", found.sandboxd,
                           ". Build the target hearth-sandboxd, or reinstall the package"));
    }
    const fs::path bootstrap = fs::path(found.python_runtime) / "bootstrap.py";
    if (!fs::exists(bootstrap, failed)) {
        return fail(errc::not_found, concat("the Python runtime is missing: expected ",
                                            bootstrap.string(), ". Reinstall the package"));
    }
    // hearth-sandboxd opens it before it leaves this mount namespace; a link would not do.
    found.python_runtime = fs::canonical(found.python_runtime, failed);
    return found;
}

}  // namespace hearth
