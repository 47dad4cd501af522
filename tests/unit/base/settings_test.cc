#include "base/settings.h"

#include <array>
#include <fstream>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/concat.h"
#include "tests/port/temporary_directory.h"

namespace hearth {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr setting name{.name = "NAME", .help = "what it is called"};
constexpr setting port{.name = "PORT",
                       .kind = setting_kind::integer,
                       .help = "where it listens",
                       .fallback = "8080",
                       .minimum = 1,
                       .maximum = 65'535};
constexpr setting key{
    .name = "API_KEY", .help = "key that callers send", .required = true, .secret = true};
constexpr setting flag{.name = "FLAG", .kind = setting_kind::boolean, .help = "whether"};
constexpr setting address{.name = "ADDRESS", .kind = setting_kind::url, .help = "where"};
constexpr setting size{.name = "SIZE",
                       .kind = setting_kind::bytes,
                       .help = "how large",
                       .minimum = 1024,
                       .maximum = 1024 * 1024};
constexpr setting wait{.name = "WAIT", .kind = setting_kind::duration, .help = "how long"};

class settings_test : public testing::Test {
protected:
    setting_sources sources() {
        return {.environment =
                    [this](const char* variable) {
                        const auto found = environment_.find(variable);
                        return found == environment_.end() ? nullptr : found->second.c_str();
                    },
                .file = folder_.file(".env"),
                .file_required = false,
                .resolver = {}};
    }
    void write_file(const std::string& text) { write(".env", text); }
    std::string write(const std::string& file, const std::string& text) {
        std::ofstream(folder_.file(file)) << text;
        return folder_.file(file);
    }
    template <class... Settings>
    settings load(const Settings&... declared) {
        table_ = {declared...};
        return settings::load(table_, sources());
    }

    test::temporary_directory folder_;
    std::map<std::string, std::string> environment_;
    std::vector<setting> table_;
};

TEST_F(settings_test, the_environment_goes_before_the_file_and_the_file_before_the_default) {
    EXPECT_EQ(load(port).integer("PORT"), 8080);
    write_file("PORT=81\n");
    EXPECT_EQ(load(port).integer("PORT"), 81);
    environment_["PORT"] = "82";
    EXPECT_EQ(load(port).integer("PORT"), 82);
}

TEST_F(settings_test, a_variable_that_is_set_to_nothing_is_not_set) {
    environment_["PORT"] = "";
    write_file("PORT=81\nNAME=\n");
    const auto loaded = load(port, name);
    EXPECT_EQ(loaded.integer("PORT"), 81);
    EXPECT_FALSE(loaded.has("NAME"));
    EXPECT_EQ(loaded.text("NAME"), "");
}

TEST_F(settings_test, every_problem_is_told_at_once_with_its_place) {
    environment_["PORT"] = "70000";
    write_file("FLAG=perhaps\nNAME=a b\n");
    const auto loaded = load(port, flag, key);
    EXPECT_THAT(loaded.problems(),
                ElementsAre(HasSubstr(".env, line 2: NAME: "),
                            "PORT (environment): '70000' is not a whole number from 1 to 65535",
                            HasSubstr(".env, line 1): 'perhaps' is not true or false"),
                            "API_KEY: is required and not set: key that callers send"));
}

TEST_F(settings_test, a_file_that_is_absent_is_a_problem_only_when_it_was_asked_for) {
    EXPECT_THAT(load(name).problems(), IsEmpty());
    auto from = sources();
    from.file_required = true;
    EXPECT_THAT(settings::load(table_, from).problems(), ElementsAre(HasSubstr("cannot open")));
    from.file = folder_.path();
    from.file_required = false;
    EXPECT_THAT(settings::load(table_, from).problems(),
                ElementsAre(HasSubstr("is not a regular file")));
}

TEST_F(settings_test, a_secret_may_lie_in_a_file_of_its_own_without_its_last_newline) {
    environment_["API_KEY_FILE"] = write("key", "s3cret\n");
    const auto loaded = load(key);
    EXPECT_THAT(loaded.problems(), IsEmpty());
    EXPECT_EQ(loaded.text("API_KEY"), "s3cret");
    environment_.clear();
    write_file(concat("API_KEY_FILE=", folder_.file("key"), "\n"));
    EXPECT_EQ(load(key).text("API_KEY"), "s3cret");
}

TEST_F(settings_test, what_a_secret_file_holds_is_no_reference) {
    environment_["API_KEY_FILE"] = write("key", "ssm:/x");
    EXPECT_EQ(load(key).text("API_KEY"), "ssm:/x");
}

TEST_F(settings_test, a_secret_twice_in_one_source_is_a_problem_and_in_two_is_not) {
    environment_["API_KEY_FILE"] = write("key", "from the file");
    write_file("API_KEY=plain\n");
    EXPECT_EQ(load(key).text("API_KEY"), "from the file");
    environment_["API_KEY"] = "plain";
    EXPECT_THAT(load(key).problems(), ElementsAre(HasSubstr("API_KEY_FILE too; keep one")));
}

TEST_F(settings_test, a_secret_file_that_cannot_be_used_is_one_problem) {
    environment_["API_KEY_FILE"] = folder_.file("absent");
    EXPECT_THAT(load(key).problems(), ElementsAre(HasSubstr("No such file")));
    environment_["API_KEY_FILE"] = write("empty", "\n");
    EXPECT_THAT(load(key).problems(), ElementsAre(HasSubstr("is empty")));
    environment_["API_KEY_FILE"] = write("large", std::string(setting_bytes_max + 1, 'x'));
    EXPECT_THAT(load(key).problems(), ElementsAre(HasSubstr("has more than 65536 bytes")));
    environment_["API_KEY_FILE"] = write("largest", std::string(setting_bytes_max, 'x'));
    EXPECT_EQ(load(key).text("API_KEY").size(), setting_bytes_max);
    // Opening a pipe that nobody writes to would wait for ever.
    ASSERT_EQ(::mkfifo(folder_.file("pipe").c_str(), 0600), 0);
    environment_["API_KEY_FILE"] = folder_.file("pipe");
    EXPECT_THAT(load(key).problems(), ElementsAre(HasSubstr("is not a regular file")));
}

TEST_F(settings_test, only_secrets_are_read_from_files) {
    environment_["NAME_FILE"] = write("name", "x");
    EXPECT_FALSE(load(name).has("NAME"));
}

TEST_F(settings_test, names_in_the_file_that_no_setting_has_are_listed) {
    write_file("NAEM=x\nNAME=y\nNAME_FILE=z\nAPI_KEY_FILE=/dev/null\n");
    EXPECT_THAT(load(name, key).unknown(), ElementsAre("NAEM", "NAME_FILE"));
}

TEST_F(settings_test, references_are_answered_by_the_resolver) {
    environment_["API_KEY"] = "secretsmanager:prod/hearth#key";
    environment_["NAME"] = "ssm:/prod/name";
    table_ = {key, name};
    auto from = sources();
    const auto wanted = find_references(table_, from);
    EXPECT_THAT(wanted, ElementsAre(secret_reference{.setting = "API_KEY",
                                                     .service = secret_service::secretsmanager,
                                                     .name = "prod/hearth",
                                                     .member = "key"},
                                    secret_reference{.setting = "NAME",
                                                     .service = secret_service::ssm,
                                                     .name = "/prod/name",
                                                     .member = ""}));
    from.resolver = [](const secret_reference& one) -> result<std::string> {
        return concat("value of ", one.name, " ", one.member);
    };
    const auto loaded = settings::load(table_, from);
    EXPECT_THAT(loaded.problems(), IsEmpty());
    EXPECT_EQ(loaded.text("API_KEY"), "value of prod/hearth key");
    EXPECT_EQ(loaded.text("NAME"), "value of /prod/name ");
    EXPECT_THAT(loaded.table(), HasSubstr("ssm by environment"));
}

TEST_F(settings_test, a_reference_that_cannot_be_answered_is_a_problem) {
    table_ = {name, key};
    environment_["NAME"] = "ssm:/name";
    environment_["API_KEY"] = "secretsmanager:";
    auto from = sources();
    EXPECT_THAT(settings::load(table_, from).problems(),
                ElementsAre(HasSubstr("does not ask; set the value"), HasSubstr("names nothing")));
    environment_["API_KEY"] = "secretsmanager:x#";
    from.resolver = [](const secret_reference&) {
        return fail(errc::not_found, "no such name");
    };
    EXPECT_THAT(settings::load(table_, from).problems(),
                ElementsAre("NAME (environment): cannot be resolved: no such name",
                            HasSubstr("names no member")));
}

TEST_F(settings_test, an_answer_is_checked_as_any_value_and_is_no_reference_again) {
    environment_["NAME"] = "ssm:/name";
    environment_["PORT"] = "ssm:/port";
    table_ = {name, port};
    auto from = sources();
    from.resolver = [](const secret_reference&) -> result<std::string> {
        return "ssm:/again";
    };
    const auto loaded = settings::load(table_, from);
    EXPECT_EQ(loaded.text("NAME"), "ssm:/again");
    EXPECT_THAT(loaded.problems(), ElementsAre(HasSubstr("'ssm:/again' is not a whole number")));
}

TEST_F(settings_test, secrets_and_passwords_appear_nowhere) {
    constexpr setting secret_url{
        .name = "SECRET_URL", .kind = setting_kind::url, .help = "", .secret = true};
    environment_["API_KEY"] = "hush";
    environment_["ADDRESS"] = "http://user:hush@host/path";
    environment_["SECRET_URL"] = "hush";
    const auto loaded = load(key, address, secret_url);
    EXPECT_THAT(loaded.table(), HasSubstr("http://***@host/path"));
    EXPECT_THAT(loaded.table(), Not(HasSubstr("hush")));
    EXPECT_THAT(loaded.problems(), ElementsAre(Not(HasSubstr("hush"))));
    environment_["ADDRESS"] = "http://user:hush@host:99999";
    EXPECT_THAT(load(address).problems(), ElementsAre(HasSubstr("'***@host:99999' is not a URL")));
}

TEST_F(settings_test, the_table_has_every_setting_in_columns) {
    environment_["NAME"] = std::string(100, 'x');
    const auto table = load(name, port, flag).table();
    EXPECT_EQ(table,
              concat("setting  value                                              from       "
                     "  meaning\n",
                     "NAME     ", std::string(48, 'x'), "…  environment  what it is called\n",
                     "PORT     8080                                               default    "
                     "  where it listens\n",
                     "FLAG     -                                                  -          "
                     "  whether\n"));
}

TEST_F(settings_test, a_value_that_is_no_text_is_refused_and_shown_on_one_line) {
    environment_["NAME"] = "\xff";
    EXPECT_THAT(load(name).problems(), ElementsAre(HasSubstr("not UTF-8")));
    environment_["NAME"] = "a\x1b[31m";
    EXPECT_THAT(load(name).problems(), ElementsAre(HasSubstr("control character")));
    environment_["PORT"] = std::string(1000, '9');
    EXPECT_THAT(load(port).problems(), ElementsAre(HasSubstr("9…' is not")));
    environment_["NAME"] = std::string(setting_bytes_max + 1, 'x');
    environment_.erase("PORT");
    EXPECT_THAT(load(name, port).problems(), ElementsAre(HasSubstr("65537 bytes; at most 65536")));
}

// What parse_setting makes of a text: its number, or nothing.
std::optional<std::int64_t> parsed(const setting& declared, std::string_view text) {
    const auto number = parse_setting(declared, text);
    return number ? std::optional(*number) : std::nullopt;
}

TEST(setting_values, an_integer_is_all_digits_and_in_its_range) {
    EXPECT_EQ(parsed(port, "1"), 1);
    EXPECT_EQ(parsed(port, "65535"), 65'535);
    for (const auto* text :
         {"", "0", "65536", "-1", "+1", "1 ", "0x1", "1e3", "1.0", "99999999999999999999"}) {
        EXPECT_EQ(parsed(port, text), std::nullopt) << text;
    }
}

TEST(setting_values, a_boolean_has_four_words_each_way) {
    for (const auto* text : {"1", "true", "Yes", "ON"}) {
        EXPECT_EQ(parsed(flag, text), 1) << text;
    }
    for (const auto* text : {"0", "False", "no", "off"}) {
        EXPECT_EQ(parsed(flag, text), 0) << text;
    }
    for (const auto* text : {"", "2", "y", "truee"}) {
        EXPECT_EQ(parsed(flag, text), std::nullopt) << text;
    }
}

TEST(setting_values, sizes_count_by_1024_and_lie_in_their_range) {
    EXPECT_EQ(parsed(size, "2000"), 2000);
    EXPECT_EQ(parsed(size, "2000B"), 2000);
    EXPECT_EQ(parsed(size, "1KB"), 1024);
    EXPECT_EQ(parsed(size, "1MiB"), 1024 * 1024);
    for (const auto* text : {"1023", "1048577", "2MB", "1kb", "1 KB", "1.5KB", "KB", "-1KB", "",
                             "9223372036854775807TB"}) {
        EXPECT_EQ(parsed(size, text), std::nullopt) << text;
    }
    EXPECT_THAT(parse_setting(size, "x").error().message,
                HasSubstr("a size from 1KB to 1MB (64KB"));
}

TEST(setting_values, a_duration_names_its_unit) {
    EXPECT_EQ(parsed(wait, "250ms"), 250);
    EXPECT_EQ(parsed(wait, "30s"), 30'000);
    EXPECT_EQ(parsed(wait, "5m"), 300'000);
    EXPECT_EQ(parsed(wait, "12h"), 43'200'000);
    EXPECT_EQ(parsed(wait, "7d"), 604'800'000);
    EXPECT_EQ(parsed(wait, "0s"), 0);
    for (const auto* text :
         {"30", "s", "1.5s", "-1s", "1 s", "1S", "1min", "9223372036854775807d"}) {
        EXPECT_EQ(parsed(wait, text), std::nullopt) << text;
    }
    EXPECT_THAT(parse_setting(wait, "30").error().message, HasSubstr("of at least 0ms (250ms"));
}

TEST(setting_values, a_url_has_one_of_its_schemes_and_a_host) {
    for (const auto* text : {"http://h", "https://h:1", "https://h.example:65535/p?q",
                             "http://[::1]", "http://[::1]:80/", "http://u:p@h/"}) {
        EXPECT_TRUE(parsed(address, text)) << text;
    }
    for (const auto* text :
         {"", "h", "h:1", "ftp://h", "http:/h", "http://", "http://:1", "http://h:", "http://h:0",
          "http://h:65536", "http://h:x", "http://[::1", "http://[::1]x", "http://h /", "http://u@",
          "httphttp://h"}) {
        EXPECT_FALSE(parsed(address, text)) << text;
    }
    constexpr setting redis{
        .name = "R", .kind = setting_kind::url, .help = "", .schemes = "rediss"};
    EXPECT_TRUE(parsed(redis, "rediss://h:6379"));
    EXPECT_FALSE(parsed(redis, "redis://h:6379"));
}

TEST_F(settings_test, a_setting_may_have_a_rule_of_its_own) {
    constexpr setting even{.name = "EVEN",
                           .kind = setting_kind::integer,
                           .help = "",
                           .check = [](std::string_view text) -> result<> {
                               if ((text.back() - '0') % 2 == 0) {
                                   return {};
                               }
                               return fail(errc::invalid_argument, "is not even");
                           }};
    environment_["EVEN"] = "3";
    EXPECT_THAT(load(even).problems(), ElementsAre("EVEN (environment): '3' is not even"));
    environment_["EVEN"] = "x";
    EXPECT_THAT(load(even).problems(), ElementsAre(HasSubstr("is not a whole number")));
    environment_["EVEN"] = "4";
    EXPECT_EQ(load(even).integer("EVEN"), 4);
}

TEST(settings_death, a_table_that_contradicts_itself_stops_the_program) {
    constexpr setting bad{
        .name = "BAD", .kind = setting_kind::integer, .help = "", .fallback = "x"};
    const setting_sources none{.file = ""};
    EXPECT_DEATH(std::ignore = settings::load(std::array{bad}, none), "default is valid");
    EXPECT_DEATH(std::ignore = settings::load(std::array{name, name}, none), "declared once");
    const std::array declared{name};
    const auto loaded = settings::load(declared, none);
    EXPECT_DEATH(std::ignore = loaded.integer("NAME"), "only when it is set");
    EXPECT_DEATH(std::ignore = loaded.text("OTHER"), "declared before");
}

}  // namespace
}  // namespace hearth
