#pragma once

#include <string>

#include "base/result.h"

namespace hearth {

// Where this program's companions are: beside it, as installed (../libexec, ../share).
struct installation {
    std::string sandboxd;        // the program hearth-sandboxd
    std::string unpacker;        // the program hearth-unpack
    std::string python_runtime;  // the folder with bootstrap.py
};

[[nodiscard]] result<installation> find_installation();

}  // namespace hearth
