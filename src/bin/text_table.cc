#include "text_table.h"

#include <algorithm>
#include <cstdio>

namespace hearth {

void print_table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths(rows.empty() ? 0 : rows.front().size());
    for (const auto& each : rows) {
        for (std::size_t i = 0; i < widths.size(); ++i) {
            widths[i] = std::max(widths[i], each[i].size());
        }
    }
    for (const auto& each : rows) {
        std::string line;
        for (std::size_t i = 0; i < widths.size(); ++i) {
            line += each[i];
            line.append(widths[i] - each[i].size() + 2, ' ');
        }
        line.erase(line.find_last_not_of(' ') + 1);
        std::printf("%s\n", line.c_str());
    }
    std::fflush(stdout);
}

}  // namespace hearth
