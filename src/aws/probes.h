#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aws/client.h"
#include "base/settings.h"

// What --check-config asks of AWS: is each thing there, has it the form that Hearth needs, and is
// each right granted that a program uses. Nothing is changed by asking: a right to change is tried
// with a request that AWS must refuse for another reason (a condition that cannot hold, an upload
// that does not exist, a receipt that is none), so that only a missing right says "access denied".
// Where there is no such request (s3:DeleteObject) the right is not tried, and its line says so.
// Ring thread only.

namespace hearth::aws {

struct probe {
    std::string service;       // "SQS"
    std::string target;        // queue, bucket, table, parameter …
    std::string tried;         // the right by its name in policies: "sqs:SendMessage"
    result<std::string> seen;  // what was found, for people; or the problem with its remedy
};

// Which of the two queues: they take different rights and settings.
enum class queue_role : std::uint8_t { jobs, dead_letters };
// Which program asks; docs/fleet.md, "Rights".
enum class program : std::uint8_t { controller, worker };

// Who AWS takes this program for (STS GetCallerIdentity, which needs no right). The others need
// not be tried when this fails.
task<probe> probe_identity(client& sts, deadline until);

task<std::vector<probe>> probe_queue(client& sqs, std::string queue_url, queue_role role,
                                     program asking, deadline until);
task<std::vector<probe>> probe_bucket(client& s3, std::string bucket_name, program asking,
                                      deadline until);
task<std::vector<probe>> probe_function_table(client& dynamodb, std::string table_name,
                                              program asking, deadline until);
task<std::vector<probe>> probe_invocation_table(client& dynamodb, std::string table_name,
                                                program asking, deadline until);
// One for each reference, by fetching it; what it holds is not kept.
task<std::vector<probe>> probe_references(std::vector<secret_reference> wanted, client& ssm,
                                          client& secrets, deadline until);
// The group's rights, for a worker on EC2.
task<std::vector<probe>> probe_lifecycle(client& auto_scaling, std::string instance_id,
                                         deadline until);
// With HEARTH_PUBLISH_BACKLOG.
task<probe> probe_backlog_metric(client& cloudwatch, deadline until);

}  // namespace hearth::aws
