// What a function may rely on: the Python contract.

#include <gtest/gtest.h>

#include "harness.h"

namespace hearth::sandbox::testing {
namespace {

TEST(contract, a_handler_gets_the_event_and_its_result_comes_back) {
    EXPECT_EQ(result_of("def handler(event, context):\n    return {'hello': event['name']}\n",
                        R"({"name":"wörld"})"),
              R"({"hello":"wörld"})");
}

TEST(contract, any_json_value_is_an_event_and_a_result) {
    for (const char* value :
         {"null", "true", "12", "1.5", "\"x\"", "[1,[2]]", "123456789012345678901234567890"}) {
        EXPECT_EQ(result_of("def handler(event, context): return event", value), value);
    }
}

TEST(contract, numpy_pandas_and_pillow_are_there) {
    EXPECT_EQ(result_of("import numpy, pandas, PIL.Image\n"
                        "def handler(event, context):\n"
                        "    a = numpy.arange(6).reshape(2, 3)\n"
                        "    f = pandas.DataFrame(a)\n"
                        "    i = PIL.Image.new('RGB', (4, 4)).resize((2, 2))\n"
                        "    return [float((a @ a.T).sum()), int(f.sum().sum()), list(i.size)]\n"),
              "[83.0,15,[2,2]]");
}

TEST(contract, packages_inside_the_code_and_dotted_or_slashed_handlers_work) {
    for (const char* handler : {"app.views.run", "app/views.run"}) {
        const auto done = run_function({{"app/__init__.py", "NAME = 'app'"},
                                        {"app/views.py",
                                         "from . import NAME\nimport app.helper\n"
                                         "def run(event, context): return app.helper.f(NAME)"},
                                        {"app/helper.py", "def f(x): return x * 2"}},
                                       "null", default_parameters(handler));
        EXPECT_EQ(done.result.payload, "\"appapp\"") << done.init.payload;
    }
}

TEST(contract, the_first_candidate_that_exists_is_the_handler) {
    auto parameters = default_parameters();
    parameters.handlers = {"main.handler", "lambda_function.lambda_handler"};
    const auto done =
        run_function({{"lambda_function.py", "def lambda_handler(event, context): return 2"}},
                     "null", parameters);
    EXPECT_EQ(done.result.payload, "2") << done.init.payload;
    EXPECT_EQ(member_of(done.init, "handler"), "lambda_function.lambda_handler");
}

TEST(contract, the_context_is_that_of_lambda) {
    EXPECT_EQ(
        result_of("def handler(event, c):\n"
                  "    left = c.get_remaining_time_in_millis()\n"
                  "    return [c.aws_request_id, c.function_name, c.memory_limit_in_mb,\n"
                  "            c.function_version, c.invoked_function_arn, c.log_group_name,\n"
                  "            c.log_stream_name, c.client_context, c.identity,\n"
                  "            type(left).__name__, 0 < left <= 30000]\n"),
        R"(["request-1","probe","128","7","arn:hearth:function:probe:7","/hearth/probe",)"
        R"("stream",null,null,"int",true])");
}

TEST(contract, the_environment_is_the_owners_and_lambdas_and_nothing_of_the_host) {
    auto parameters = default_parameters();
    parameters.environment = {{"GREETING", "hi"}, {"AWS_LAMBDA_FUNCTION_NAME", "x"}};
    ::setenv("HEARTH_TEST_SECRET", "secret", 1);
    const auto done =
        run_function({{"main.py",
                       "import os\n"
                       "def handler(event, c):\n"
                       "    e = os.environ\n"
                       "    return [e['GREETING'], e['AWS_LAMBDA_FUNCTION_NAME'],\n"
                       "            e['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'],\n"
                       "            e['LAMBDA_TASK_ROOT'], e['_HANDLER'], e['HOME'],\n"
                       "            'HEARTH_TEST_SECRET' in e, os.getcwd()]\n"}},
                     "null", parameters);
    EXPECT_EQ(done.result.payload,
              R"(["hi","probe","128","/code","main.handler","/tmp",false,"/code"])");
}

TEST(contract, output_and_log_lines_are_in_the_pipe_before_the_result) {
    const auto done = run_function({{"main.py",
                                     "import logging, sys\n"
                                     "def handler(event, context):\n"
                                     "    print('printed', end='')\n"
                                     "    logging.getLogger().warning('warned')\n"
                                     "    sys.stderr.write('to stderr\\n')\n"}});
    EXPECT_NE(done.output.find("printed"), std::string::npos);
    EXPECT_NE(done.output.find("\trequest-1\twarned\n"), std::string::npos) << done.output;
    EXPECT_NE(done.output.find("[WARNING]\t"), std::string::npos);
    EXPECT_NE(done.output.find("to stderr\n"), std::string::npos);
}

TEST(contract, a_sandbox_is_warm_and_keeps_its_state_between_invocations) {
    const code_directory code(
        {{"main.py",
          "n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n"}});
    sandbox_host host;
    auto sandbox = host.start(code);
    EXPECT_EQ(sandbox->invoke("null").payload, "1");
    EXPECT_EQ(sandbox->invoke("null").payload, "2");
    sandbox->close_stream();
    const auto exited = host.await_exit(*sandbox);
    EXPECT_EQ(exited.kind, exit_kind::code);
    EXPECT_EQ(exited.value, 0);
}

TEST(contract, threads_subprocesses_and_multiprocessing_work) {
    EXPECT_EQ(
        result_of("import threading, subprocess, multiprocessing, concurrent.futures, asyncio\n"
                  "def f(x): return x * x\n"
                  "def handler(event, context):\n"
                  "    out = []\n"
                  "    t = threading.Thread(target=lambda: out.append('thread'))\n"
                  "    t.start(); t.join()\n"
                  "    out.append(subprocess.run(['echo', 'child'], capture_output=True,\n"
                  "                              text=True).stdout.strip())\n"
                  "    with multiprocessing.Pool(2) as pool:\n"
                  "        out.append(pool.map(f, [1, 2, 3]))\n"
                  "    with concurrent.futures.ThreadPoolExecutor(4) as e:\n"
                  "        out.append(list(e.map(f, [4])))\n"
                  "    out.append(asyncio.run(asyncio.sleep(0, 'async')))\n"
                  "    return out\n"),
        R"(["thread","child",[1,4,9],[16],"async"])");
}

TEST(contract, sqlite_temporary_files_and_standard_streams_by_name_work) {
    EXPECT_EQ(result_of("import sqlite3, tempfile, os\n"
                        "def handler(event, context):\n"
                        "    db = sqlite3.connect('/tmp/x.db')\n"
                        "    db.execute('create table t (a)')\n"
                        "    db.execute('insert into t values (1)'); db.commit()\n"
                        "    with tempfile.TemporaryDirectory() as d:\n"
                        "        open(os.path.join(d, 'f'), 'w').write('x')\n"
                        "    open('/dev/stdout', 'w').write('by name\\n')\n"
                        "    return db.execute('select count(*) from t').fetchone()[0]\n"),
              "1");
}

struct typed_case {
    const char* source;
    const char* type;
};

void expect_init_error(const std::map<std::string, std::string>& files, const std::string& handler,
                       const std::string& type) {
    const auto done = run_function(files, "null", default_parameters(handler));
    ASSERT_TRUE(done.init.is(frame_type::init_error)) << handler << done.output;
    EXPECT_EQ(member_of(done.init, "errorType"), type) << done.init.payload;
}

TEST(contract, errors_of_initialisation_are_typed_as_on_lambda) {
    expect_init_error({{"other.py", ""}}, "main.handler", "Runtime.ImportModuleError");
    expect_init_error({{"main.py", "import no_such_module"}}, "main.handler",
                      "Runtime.ImportModuleError");
    expect_init_error({{"main.py", "x = 1"}}, "main.handler", "Runtime.HandlerNotFound");
    expect_init_error({{"main.py", "handler = 1"}}, "main.handler", "Runtime.HandlerNotFound");
    expect_init_error({{"main.py", "def handler(:\n"}}, "main.handler",
                      "Runtime.UserCodeSyntaxError");
    expect_init_error({{"main.py", ""}}, "main", "Runtime.MalformedHandlerName");
    expect_init_error({{"main.py", ""}}, "../main.handler", "Runtime.MalformedHandlerName");
    expect_init_error({{"main.py", "1 / 0"}}, "main.handler", "ZeroDivisionError");
    expect_init_error({{"main.py", "import sys; sys.exit(3)"}}, "main.handler",
                      "Runtime.ExitError");
}

TEST(contract, errors_of_an_invocation_are_typed_and_the_sandbox_stays_usable) {
    const std::vector<typed_case> cases{
        {"raise ValueError('bad')", "ValueError"},
        {"return float('nan')", "Runtime.MarshalError"},
        {"return {'a': [float('inf')]}", "Runtime.MarshalError"},
        {"return b'bytes'", "Runtime.MarshalError"},
        {"return {1, 2}", "Runtime.MarshalError"},
        {"return '\\ud800'", "Runtime.MarshalError"},
        {"x = []; x.append(x); return x", "Runtime.MarshalError"},
        {"return 'x' * (6 * 1024 * 1024 - 1)", "Function.ResponseSizeTooLarge"},
        {"raise KeyboardInterrupt()", "KeyboardInterrupt"},
        {"raise Hostile()", "Hostile"},
        {"raise ValueError('x' * 50_000_000)", "ValueError"},
        {"raise ValueError('\\ud800')", "ValueError"},
        {"return recurse(0)", "RecursionError"},
    };
    std::string source =
        "class Hostile(Exception):\n"
        "    def __str__(self): raise SystemExit(9)\n"
        "    __repr__ = __str__\n"
        "def recurse(n): return recurse(n + 1)\n";
    for (std::size_t i = 0; i < cases.size(); ++i) {
        source += "def case_" + std::to_string(i) + "():\n    " + cases[i].source + "\n";
    }
    source += "def handler(event, context): return globals()['case_%d' % event]()\n";
    const code_directory code({{"main.py", source}});
    sandbox_host host;
    create_packet wanted;
    wanted.memory_mb = 512;
    auto sandbox = host.start(code, wanted);
    for (std::size_t i = 0; i < cases.size(); ++i) {
        const auto got = sandbox->invoke(std::to_string(i));
        EXPECT_TRUE(got.is(frame_type::error)) << cases[i].source;
        EXPECT_EQ(member_of(got, "errorType"), cases[i].type) << cases[i].source;
    }
    sandbox->close_stream();
}

TEST(contract, an_error_carries_the_message_the_request_and_the_functions_frames_only) {
    const auto done = run_function({{"main.py",
                                     "def inner():\n    raise KeyError('k')\n"
                                     "def handler(event, context):\n    inner()\n"}});
    ASSERT_TRUE(done.result.is(frame_type::error));
    EXPECT_EQ(done.result.payload,
              R"({"errorMessage": "'k'", "errorType": "KeyError", "requestId": "request-1", )"
              R"("stackTrace": ["  File \"/code/main.py\", line 4, in handler\n    inner()\n", )"
              R"("  File \"/code/main.py\", line 2, in inner\n    raise KeyError('k')\n"]})");
    EXPECT_NE(done.output.find("[ERROR] KeyError"), std::string::npos);
}

TEST(contract, a_result_of_exactly_six_megabytes_passes) {
    const auto done = run_function(
        {{"main.py", "def handler(event, context): return 'x' * (6 * 1024 * 1024 - 2)"}});
    EXPECT_TRUE(done.result.is(frame_type::result));
    EXPECT_EQ(done.result.payload.size(), result_bytes_max);
}

TEST(contract, a_six_megabyte_event_arrives_whole) {
    const std::string event = "\"" + std::string(event_bytes_max - 2, 'e') + "\"";
    EXPECT_EQ(result_of("def handler(event, context): return len(event)", event),
              std::to_string(event_bytes_max - 2));
}

}  // namespace
}  // namespace hearth::sandbox::testing
