#include "tests/port/aws/fixtures.h"
#include "tests/port/code_store_conformance.h"
#include "tests/port/function_table_conformance.h"
#include "tests/port/invocation_log_conformance.h"

namespace hearth::test {
namespace {

INSTANTIATE_TYPED_TEST_SUITE_P(aws, function_table_conformance, aws_table_fixture);
INSTANTIATE_TYPED_TEST_SUITE_P(aws, invocation_log_conformance, aws_log_fixture);
INSTANTIATE_TYPED_TEST_SUITE_P(aws, code_store_conformance, aws_code_fixture);

}  // namespace
}  // namespace hearth::test
