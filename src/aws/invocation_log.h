#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "aws/blobs.h"
#include "aws/dynamodb.h"
#include "faas/ports.h"

namespace hearth::aws {

struct invocation_log_settings {
    std::string table_name;
    // After its last change an open record is kept for the first, a final one for the second and
    // for no less than the first since its job was made; then it is hidden at once, and DynamoDB's
    // TTL deletes it within days.
    std::chrono::hours open_retention{14 * 24};  // as long as SQS keeps a message at most
    std::chrono::hours final_retention{7 * 24};
    // When a job's id was given out; nothing for others. A job without a record, whose id is not
    // older than open_retention, is in the queue.
    std::function<std::optional<epoch_ms>(std::string_view job_id)> issued_at =
        [](std::string_view) {
            return std::optional<epoch_ms>();
        };
    std::function<epoch_ms()> now = wall_clock_ms;
};

// Invocation records in DynamoDB, an item each. docs/protocol.md, "Table items". What is too large
// for an item (inline_bytes_max) lies in a blob, written before the item that names it, so that
// neither result nor log of an outcome is ever cut. The outcome is one conditional write: the first
// one wins, also when the answer to it was lost and it is sent again. Ring thread only.
class invocation_log final : public faas::invocation_log {
public:
    // Of an item's 400 KB, with room for its other attributes.
    static constexpr std::size_t inline_bytes_max = 350u << 10;

    // `api` is for DynamoDB; both outlive this.
    invocation_log(client& api, blobs& large_records, invocation_log_settings settings);

    task<result<>> create(const faas::invocation_record& record, deadline until) override;
    task<result<>> mark_running(const faas::invocation_record& record, deadline until) override;
    task<result<bool>> finish(const faas::invocation_record& record, deadline until) override;
    task<result<std::vector<bool>>> ended(std::vector<std::string> job_ids,
                                          deadline until) override;
    task<result<faas::invocation_record>> get(std::string_view job_id, deadline until) override;
    // Reads the whole table: on AWS the TTL does this work, and nobody needs to call it.
    task<result<std::int64_t>> expire(epoch_ms before, deadline until) override;

private:
    task<result<std::optional<item>>> find(std::string_view job_id, deadline until);
    [[nodiscard]] item item_of(const faas::invocation_record& record,
                               const std::string& token) const;
    [[nodiscard]] attribute expiry(const faas::invocation_record& record, epoch_ms created) const;
    [[nodiscard]] result<faas::invocation_record> without_record(std::string_view job_id) const;

    table table_;
    blobs& large_records_;
    invocation_log_settings settings_;
};

}  // namespace hearth::aws
