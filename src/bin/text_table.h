#pragma once

#include <string>
#include <vector>

namespace hearth {

// Rows of a table on standard output, in columns; the first is its head. All have as many cells.
void print_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace hearth
