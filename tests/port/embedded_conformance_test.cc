#include "tests/port/code_store_conformance.h"
#include "tests/port/embedded_fixtures.h"
#include "tests/port/function_table_conformance.h"
#include "tests/port/invocation_log_conformance.h"
#include "tests/port/job_queue_conformance.h"
#include "tests/port/rate_limiter_conformance.h"
#include "tests/port/result_bus_conformance.h"

namespace hearth::test {
namespace {

INSTANTIATE_TYPED_TEST_SUITE_P(embedded, job_queue_conformance, embedded_queue_fixture);
INSTANTIATE_TYPED_TEST_SUITE_P(embedded, function_table_conformance, embedded_table_fixture);
INSTANTIATE_TYPED_TEST_SUITE_P(embedded, invocation_log_conformance, embedded_log_fixture);
INSTANTIATE_TYPED_TEST_SUITE_P(embedded, code_store_conformance, embedded_code_fixture);
INSTANTIATE_TYPED_TEST_SUITE_P(embedded, result_bus_conformance, embedded_bus_fixture);
INSTANTIATE_TYPED_TEST_SUITE_P(embedded, rate_limiter_conformance, embedded_limiter_fixture);

}  // namespace
}  // namespace hearth::test
