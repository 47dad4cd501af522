#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/load/connection.h"
#include "bench/load/options.h"
#include "bench/load/server_metrics.h"
#include "bench/load/workload.h"

namespace hearth::bench {

// The server before and after the load: functions are uploaded and deleted, metrics read. On one
// kept connection; ring thread only; close() is awaited before it is destroyed.
class server {
public:
    // `chosen` outlives it.
    explicit server(const options& chosen);

    // Uploads what the mode calls and makes its requests.
    task<result<workload>> prepare();
    // None where the server has no /metrics, or not for this key.
    task<std::optional<server_metrics>> metrics();
    // Deletes what was uploaded.
    task<result<>> clean_up();
    task<void> close() { return on_.close(); }

private:
    task<result<std::string>> upload(std::string name, std::string source);
    task<result<std::vector<std::string>>> upload_all(std::string source, unsigned count);
    task<result<workload>> prepare_trace();
    [[nodiscard]] std::string request(std::string_view method, std::string_view path,
                                      std::string_view type, std::string_view body,
                                      bool with_headers) const;
    [[nodiscard]] std::string run_request(std::string_view function_id,
                                          std::string_view input) const;

    const options& chosen_;
    connection on_;
    std::vector<std::string> uploaded_;  // function ids
};

}  // namespace hearth::bench
