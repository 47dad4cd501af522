#include "tests/port/aws/fixtures.h"
#include "tests/port/job_queue_conformance.h"

namespace hearth::test {
namespace {

INSTANTIATE_TYPED_TEST_SUITE_P(aws, job_queue_conformance, aws_queue_fixture);

}  // namespace
}  // namespace hearth::test
