#include "tests/port/rate_limiter_conformance.h"
#include "tests/port/redis_fixtures.h"
#include "tests/port/result_bus_conformance.h"

namespace hearth::test {
namespace {

INSTANTIATE_TYPED_TEST_SUITE_P(redis, result_bus_conformance, redis_bus_fixture);
INSTANTIATE_TYPED_TEST_SUITE_P(redis, rate_limiter_conformance, redis_limiter_fixture);

}  // namespace
}  // namespace hearth::test
