"""Makes the queues, the bucket and the tables of resources.json in the stand-ins."""

import http.client
import json
import pathlib

import services

DEFINITIONS = pathlib.Path(__file__).resolve().parent / "resources.json"
REGION = "us-east-1"
# s3rver knows this key alone; the others take any.
ACCESS_KEY = "S3RVER"
SECRET_KEY = "S3RVER"
REQUEST_SECONDS_MAX = 30
# The stand-ins look whether a request is signed, not whether it is signed well.
AUTHORIZATION = (
    f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20260101/{REGION}/any/aws4_request, "
    "SignedHeaders=host, Signature=00"
)


def request(port, method, path, headers, body=b""):
    connection = http.client.HTTPConnection(services.HOST, port, timeout=REQUEST_SECONDS_MAX)
    try:
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise services.ServiceError(
            f"the stand-in on port {port} did not answer: {error}",
            "see its log in the folder; tools/localcloud down, then up",
        ) from error
    finally:
        connection.close()


def call(port, target, version, content):
    """One request in AWS's JSON protocols; the answer as a dictionary."""
    headers = {
        "X-Amz-Target": target,
        "X-Amz-Date": "20260101T000000Z",
        "Content-Type": f"application/x-amz-json-{version}",
        "Authorization": AUTHORIZATION,
    }
    status, text = request(port, "POST", "/", headers, json.dumps(content).encode())
    if status != 200:
        raise services.ServiceError(
            f"{target} answered {status}: {text}",
            f"is {DEFINITIONS} what the service understands?",
        )
    return json.loads(text)


def make_queue(port, definition, arns):
    attributes = dict(definition["attributes"])
    if "redrive" in definition:
        redrive = definition["redrive"]
        policy = {
            "deadLetterTargetArn": arns[redrive["deadLetterQueue"]],
            "maxReceiveCount": redrive["maxReceiveCount"],
        }
        attributes["RedrivePolicy"] = json.dumps(policy)
    content = {"QueueName": definition["name"], "Attributes": attributes}
    url = call(port, "AmazonSQS.CreateQueue", "1.0", content)["QueueUrl"]
    content = {"QueueUrl": url, "AttributeNames": ["QueueArn"]}
    answer = call(port, "AmazonSQS.GetQueueAttributes", "1.0", content)
    arns[definition["name"]] = answer["Attributes"]["QueueArn"]
    # Its host is the stand-in's idea of itself. It knows the queue by exactly this text all the
    # same: clients send requests to the endpoint and this URL in the body.
    return url


def make_bucket(port, name):
    # 409: s3rver keeps its files, and the bucket is there from an earlier time.
    status, text = request(port, "PUT", f"/{name}", {"Content-Length": "0"})
    if status not in (200, 409):
        raise services.ServiceError(f"making bucket {name} answered {status}: {text}", "see s3.log")


def make_all(ports):
    """The variables that name what was made."""
    definitions = json.loads(DEFINITIONS.read_text(encoding="utf-8"))
    variables, arns = {}, {}
    for queue in definitions["queues"]:
        variables[queue["variable"]] = make_queue(ports["sqs"], queue, arns)
    for bucket in definitions["buckets"]:
        make_bucket(ports["s3"], bucket["name"])
        variables[bucket["variable"]] = bucket["name"]
    for table in definitions["tables"]:
        # dynalite has no time to live; readers filter by the attribute anyway.
        call(ports["dynamodb"], "DynamoDB_20120810.CreateTable", "1.0", table["definition"])
        variables[table["variable"]] = table["definition"]["TableName"]
    return variables


def environment(ports):
    """Everything to source: endpoints, credentials, names."""
    endpoints = {
        f"AWS_ENDPOINT_URL_{name.upper()}": f"http://{services.HOST}:{ports[name]}"
        for name in ("sqs", "s3", "dynamodb")
    }
    fixed = {
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        # No program asks the instance's metadata service for credentials meanwhile.
        "AWS_EC2_METADATA_DISABLED": "true",
        "REDIS_HOST": f"{services.HOST}:{ports['redis']}",
    }
    return endpoints | fixed | make_all(ports)
