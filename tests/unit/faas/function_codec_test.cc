#include "faas/function_codec.h"

#include <string>

#include <gtest/gtest.h>

#include "base/concat.h"

namespace hearth::faas {
namespace {

function example() {
    function out;
    out.id = "function-1";
    out.name = "hello";
    out.runtime = "python3";
    out.handler = "main.handler";
    out.handlers = {"main.handler", "main.other"};
    out.memory_mb = 128;
    out.timeout_ms = 1000;
    out.env = {{"B", "2"}, {"A", "1"}};
    out.kind = code_kind::zip;
    out.code_file = "main.py";
    out.code_sha256 = std::string(64, 'a');
    out.code_size = 12;
    out.revision = 3;
    out.created_at = 4;
    out.updated_at = 5;
    return out;
}

TEST(function_codec, a_function_is_read_as_it_was_written) {
    const std::string text = encode(example());
    const auto read = decode_function(text);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->handlers, example().handlers);
    EXPECT_EQ(read->env, example().env);
    EXPECT_EQ(encode(*read), text);
}

TEST(function_codec, one_that_lacks_a_member_is_damaged_and_the_error_names_it) {
    for (const std::string name :
         {"v", "id", "name", "runtime", "handler", "handlers", "memoryMb", "timeoutMs", "env",
          "isZip", "codeFile", "codeSha256", "codeSize", "revision", "createdAt", "updatedAt"}) {
        std::string text = encode(example());
        text.replace(text.find(concat('"', name, '"')), name.size() + 2, "\"other\"");
        const auto read = decode_function(text);
        ASSERT_FALSE(read) << name;
        EXPECT_EQ(read.error().code, errc::corrupt);
        EXPECT_TRUE(read.error().message.ends_with(name)) << read.error().message;
    }
}

TEST(function_codec, another_versions_function_is_not_guessed_at) {
    std::string text = encode(example());
    text.replace(text.find("\"v\":1"), 5, "\"v\":2");
    EXPECT_EQ(decode_function(text).error().code, errc::corrupt);
}

}  // namespace
}  // namespace hearth::faas
