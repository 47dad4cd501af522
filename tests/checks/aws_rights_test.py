#!/usr/bin/python3
"""The policies in docs/fleet.md allow what src/aws sends, and nothing else."""

import json
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Operation in the code: the right that AWS asks for, where that is not "<service>:<operation>".
RIGHTS = {
    "SendMessageBatch": "sqs:SendMessage",
    "DeleteMessageBatch": "sqs:DeleteMessage",
    "ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "ListObjectsV2": "s3:ListBucket",
}
SERVICES = {
    "sqs": ["SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility",
            "GetQueueAttributes"],
    "s3": ["PutObject", "GetObject", "DeleteObject", "AbortMultipartUpload"],
    "dynamodb": ["GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan",
                 "BatchGetItem", "BatchWriteItem", "DescribeTable", "DescribeTimeToLive"],
    "cloudwatch": ["PutMetricData"],
    "autoscaling": ["DescribeAutoScalingInstances", "DescribeLifecycleHooks",
                    "RecordLifecycleActionHeartbeat", "CompleteLifecycleAction"],
    "ssm": ["GetParameter"],
    "secretsmanager": ["GetSecretValue"],
    "sts": ["AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity"],
}
RIGHTS.update({name: f"{service}:{name}" for service, names in SERVICES.items() for name in names})

# Rights that no policy has to have, and why.
NOT_NEEDED = {
    "dynamodb:Scan": "invocation_log::expire(): on AWS the time to live does this work",
    "dynamodb:BatchWriteItem": "the same",
    "sts:GetCallerIdentity": "it needs no right",
    "sts:AssumeRoleWithWebIdentity": "it is not signed: the role's trust policy decides",
    "sts:AssumeRole": "for profiles with role_arn alone; docs/fleet.md says so",
}

# What has an operation's form and is none: members of requests and answers, errors.
NO_OPERATIONS = {"BatchRequestTooLong", "DeleteRequest", "ListBucketResult", "UpdateExpression",
                 "UploadId"}

VERBS = ("Abort|Assume|Batch|Change|Complete|Copy|Create|Delete|Describe|Execute|Get|Head|List|"
         "Publish|Purge|Put|Query|Receive|Record|Restore|Scan|Send|Set|Start|Stop|Tag|Transact|"
         "Untag|Update|Upload")
LITERAL = re.compile(rf'"(?:AmazonSSM\.|secretsmanager\.)?((?:{VERBS})(?:[A-Z]\w*)?)"')


def operations():
    """Every operation that stands in the code, with the files that it stands in."""
    found = {}
    for path in sorted((ROOT / "src" / "aws").glob("*.cc")):
        for name in LITERAL.findall(path.read_text(encoding="utf-8")):
            if name not in NO_OPERATIONS:
                found.setdefault(name, []).append(path.name)
    return found


def policies():
    """{"hearth-controller": {right, …}, "hearth-worker": …} as docs/fleet.md has them."""
    text = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
    found = {}
    for program, policy in re.findall(r"### Role of (\S+)\n.*?```json\n(.*?)```", text, re.S):
        rights = set()
        for statement in json.loads(policy)["Statement"]:
            actions = statement["Action"]
            rights.update([actions] if isinstance(actions, str) else actions)
        found[program] = rights
    return found


class AwsRightsTest(unittest.TestCase):
    def test_every_operation_in_the_code_has_a_known_right(self):
        unknown = {name: where for name, where in operations().items() if name not in RIGHTS}
        self.assertEqual(unknown, {}, "name its right in this test, and grant it in docs/fleet.md")

    def test_the_policies_together_grant_what_the_code_sends_and_nothing_else(self):
        granted = set().union(*policies().values())
        needed = {RIGHTS[name] for name in operations()} - set(NOT_NEEDED)
        self.assertEqual(granted - needed, set(), "granted and never used")
        self.assertEqual(needed - granted, set(), "used and not granted")

    def test_what_is_not_granted_is_really_sent_somewhere(self):
        sent = {RIGHTS[name] for name in operations()}
        self.assertEqual(set(NOT_NEEDED) - sent, set(), "take it out of this list")

    def test_both_programs_have_a_policy_without_a_wildcard_in_its_actions(self):
        found = policies()
        self.assertEqual(set(found), {"hearth-controller", "hearth-worker"})
        for program, rights in found.items():
            self.assertEqual([right for right in rights if "*" in right], [], program)

    def test_a_worker_cannot_change_code_or_functions(self):
        text = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
        policy = re.search(r"### Role of hearth-worker\n.*?```json\n(.*?)```", text, re.S).group(1)
        for statement in json.loads(policy)["Statement"]:
            resources = json.dumps(statement["Resource"])
            if "/code/" in resources or "hearth-functions" in resources:
                for action in statement["Action"] if isinstance(statement["Action"], list) else [
                        statement["Action"]]:
                    self.assertRegex(action, ":(Get|Describe)")


if __name__ == "__main__":
    unittest.main()
