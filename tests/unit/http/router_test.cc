#include "http/router.h"

#include <gtest/gtest.h>

namespace hearth::http {
namespace {

handler nobody() {
    return [](request&) -> task<response> {
        co_return response(200);
    };
}

router example() {
    router routes;
    routes.add(method::get, "/functions", nobody());
    routes.add(method::get, "/functions/:id", nobody());
    routes.add(method::delete_, "/functions/:id", nobody());
    routes.add(method::get, "/functions/health", nobody());
    routes.add(method::post, "/a/:one/b/:two", nobody());
    routes.add(method::get, "/", nobody());
    return routes;
}

TEST(router, finds_routes_and_their_parameters) {
    const router routes = example();
    const auto one = routes.find(method::delete_, "/functions/f-1");
    EXPECT_EQ(one.what, router::outcome::found);
    EXPECT_EQ(one.route, "/functions/:id");
    EXPECT_EQ(one.parameters.get("id"), "f-1");
    EXPECT_EQ(one.parameters.get("other"), "");
    const auto two = routes.find(method::post, "/a/x/b/y");
    EXPECT_EQ(two.parameters.get("one"), "x");
    EXPECT_EQ(two.parameters.get("two"), "y");
    EXPECT_EQ(routes.find(method::get, "/").what, router::outcome::found);
}

TEST(router, prefers_the_literal_segment_whatever_the_order_of_adding) {
    const router ordered = example();
    EXPECT_EQ(ordered.find(method::get, "/functions/health").route, "/functions/health");
    router reversed;
    reversed.add(method::get, "/functions/health", nobody());
    reversed.add(method::get, "/functions/:id", nobody());
    EXPECT_EQ(reversed.find(method::get, "/functions/health").route, "/functions/health");
    EXPECT_EQ(reversed.find(method::get, "/functions/x").route, "/functions/:id");
}

TEST(router, does_not_find_other_paths) {
    const router routes = example();
    for (const std::string_view path : {"/functions/", "/functions/a/b", "/function", "//",
                                        "/functions//", "/a//b/y", "/Functions"}) {
        const auto found = routes.find(method::get, path);
        EXPECT_EQ(found.what, router::outcome::not_found) << path;
        EXPECT_EQ(found.route, router::unmatched);
    }
}

TEST(router, names_the_methods_that_a_path_takes) {
    const router routes = example();
    const auto refused = routes.find(method::post, "/functions/x");
    EXPECT_EQ(refused.what, router::outcome::method_not_allowed);
    EXPECT_EQ(refused.allow, "GET, HEAD, DELETE, OPTIONS");
    EXPECT_EQ(refused.route, "/functions/:id");
}

TEST(router, serves_head_where_get_is_and_options_everywhere) {
    const router routes = example();
    EXPECT_EQ(routes.find(method::head, "/functions").what, router::outcome::found);
    EXPECT_EQ(routes.find(method::head, "/a/x/b/y").what, router::outcome::method_not_allowed);
    EXPECT_EQ(routes.find(method::options, "/a/x/b/y").what, router::outcome::options);
    EXPECT_EQ(routes.find(method::options, "/a/x/b/y").allow, "POST, OPTIONS");
    EXPECT_EQ(routes.find(method::options, "*").what, router::outcome::options);
    EXPECT_EQ(routes.find(method::options, "/nothing").what, router::outcome::not_found);
}

}  // namespace
}  // namespace hearth::http
