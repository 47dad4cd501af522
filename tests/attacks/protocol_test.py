#!/usr/bin/python3
"""E: the peer inside speaks the protocol itself. At worst its own call fails."""

import re

from attack import (AttackTest, INNOCENT, eventually, fails_with, group, main, read_text,
                    succeeds_if, succeeds_with)

LOG_BYTES_MAX = 256 << 10
DEPTH_MAX = 512  # src/base/json.h, depth_max
FLOOD_MB = 1024
GROWTH_KB_MAX = 64 << 10  # of the server while it swallows the flood
FORGED = "forged-line-7c1e"

VIOLATION = fails_with("Sandbox.ProtocolViolation")
OUT_OF_TURN = fails_with("Sandbox.ProtocolViolation", "out of turn")
TIMED_OUT = fails_with("Sandbox.Timedout")
EXITED = fails_with("Runtime.ExitError")
SHORT = {"timeoutMs": 700}

HEADERS = {"content-type", "content-length", "x-request-id", "date", "connection", "server"}


def raw(number, title, check, *parts):
    """A result made by hand of (bytes, times)."""
    return group(number, title, "raw_result", check,
                 {"parts": [[part.hex(), count] for part, count in parts]})


def wrong(number, title, **event):
    return group(number, title, "wrong_frame", VIOLATION, event, **SHORT)


def lie(number, title, check, kind, message="x", stack=()):
    return group(number, title, "tell_lies", check,
                 {"type": kind, "message": message, "stack": list(stack)})


def own_answer_or_exit(test, body):
    """Whoever in the sandbox has the nonce may answer; the end of the runtime may come first."""
    if body["status"] == "FAILED":
        EXITED(test, body)
    else:
        test.assertEqual(body["result"], "from beyond")


class ProtocolTest(AttackTest):
    functions = "protocol"
    groups = (
        group("60", "zeros are no frame", "write_bytes", VIOLATION, {"bytes": "00" * 64}, **SHORT),
        group("60b", "ones are no frame", "write_bytes", VIOLATION, {"bytes": "ff" * 64}, **SHORT),
        group("60c", "text is no frame", "write_bytes", VIOLATION,
              {"bytes": b'{"result": "mine", "status": 200}\r\n\r\n'.hex()}, **SHORT),
        group("60d", "part of a header never ends", "write_bytes", TIMED_OUT, {"bytes": "06000000"},
              **SHORT),
        group("60e", "an exit inside the header is an exit", "write_part_and_exit", EXITED,
              {"size": 7}),
        group("60f", "an exit inside the payload is an exit", "write_part_and_exit", EXITED,
              {"size": 19}),
        group("60g", "a frame in single bytes is a frame", "write_slowly",
              succeeds_with("slow but right")),
        wrong("61", "the next nonce is wrong", nonce_step=1),
        wrong("61b", "nonce 0 is wrong", nonce=0),
        wrong("61c", "flags are refused", fields={"flags": 1}),
        wrong("61d", "reserved bits are refused", fields={"reserved": 0x8000}),
        wrong("61e", "an unknown kind is refused", fields={"kind": 7}),
        wrong("61f", "kind 0 is refused", fields={"kind": 0}),
        wrong("61g", "a shorter length leaves bytes over", fields={"length": 3}),
        group("61h", "ready twice is out of turn", "raw_error", OUT_OF_TURN,
              {"payload": '{"initMs":1,"handler":"x"}', "kind": 3}),
        group("61i", "an import error in a call is out of turn", "raw_error", OUT_OF_TURN,
              {"payload": '{"errorMessage":"x","errorType":"y","requestId":"","stackTrace":[]}',
               "kind": 4}),
        group("61j", "the workers own init is refused", "request_forgery", VIOLATION, {"kind": 1},
              **SHORT),
        group("61k", "the workers own invoke is refused", "request_forgery", VIOLATION,
              {"kind": 2}, **SHORT),
        group("61l", "two results in one write are a violation", "two_results", VIOLATION,
              **SHORT),
        group("62", "a closed stream is an exit", "close_stream", EXITED,
              {"how": "close", "return": False}),
        group("62b", "a closed stream has no answer", "close_stream",
              fails_with(("Runtime.ExitError", "Runtime.Crashed")),
              {"how": "close", "return": True}),
        group("62c", "a stream closed for writing is an exit", "close_stream", EXITED,
              {"how": "SHUT_WR", "return": False}),
        group("62d", "a stream closed for reading still answers", "close_stream",
              succeeds_with("returned"), {"how": "SHUT_RD", "return": True}),
        group("62e", "an orphan answers its own call or none", "orphan_holds_stream",
              own_answer_or_exit),
        group("63", "a byte above the limit is refused at the header", "announce_too_much",
              VIOLATION, {"length": (6 << 20) + 1}),
        group("63b", "four gigabytes are refused at the header", "announce_too_much", VIOLATION,
              {"length": 0xFFFFFFFF}),
        group("63c", "a promise without bytes ends with its time", "write_bytes", VIOLATION,
              {"bytes": "0000600005000000" + "00" * 8}, **SHORT),
        raw("63d", "nesting has an end", VIOLATION, (b"[", 100_000), (b"]", 100_000)),
        raw("63e", "nesting within the limit passes", succeeds_if(
            lambda test, result: test.assertIsInstance(result, list)),
            (b"[", DEPTH_MAX - 2), (b"]", DEPTH_MAX - 2)),
        raw("63f", "open nesting is refused", VIOLATION, (b"[", 6 << 20)),
        raw("63g", "open objects are refused", VIOLATION, (b'{"a":', 1_000_000)),
        raw("63h", "nan is refused", VIOLATION, (b"NaN", 1)),
        raw("63i", "infinity is refused", VIOLATION, (b"[-Infinity]", 1)),
        raw("63j", "bytes that are no utf8 are refused", VIOLATION, (b'"\xff\xfe"', 1)),
        raw("63k", "overlong utf8 is refused", VIOLATION, (b'"\xc0\xaf"', 1)),
        raw("63l", "a surrogate in utf8 is refused", VIOLATION, (b'"\xed\xa0\x80"', 1)),
        raw("63m", "nul is refused", VIOLATION, (b'"a\0b"', 1)),
        raw("63n", "a byte order mark is refused", VIOLATION, (b'\xef\xbb\xbf"x"', 1)),
        raw("63o", "two values are refused", VIOLATION, (b"1 2", 1)),
        raw("63p", "no value is refused", VIOLATION, (b" ", 3)),
        raw("63q", "an empty result is refused", VIOLATION),
        raw("63r", "line breaks in text are refused", VIOLATION, (b'"a\r\nb"', 1)),
        raw("63s", "an end of the answers own object is refused", VIOLATION,
            (b'1, "status": "SUCCEEDED", "jobId": "x"}', 1)),
        raw("63t", "duplicate keys stay the functions own", succeeds_with({"a": 2}),
            (b'{"a": 1, "a": 2}', 1)),
        raw("63u", "a million digits pass as they are", succeeds_if(
            lambda test, result: test.assertGreater(result, 10**4000)), (b"9", 4200)),
        group("63v", "deep values are the functions own error", "nested",
              fails_with(("Runtime.MarshalError", "Sandbox.ProtocolViolation")),
              {"depth": 100_000}),
        group("64", "a flood of output is swallowed", "output_flood", succeeds_with("written"),
              {"megabytes": FLOOD_MB}, violations="output_flood", timeoutMs=120_000),
        group("65", "there are four descriptors and no more", "scan_descriptors",
              succeeds_with([0, 1, 2, 3])),
        group("65b", "urgent bytes change nothing", "urgent_bytes",
              succeeds_if(lambda test, result: test.assertIn(result, ("refused", "urgent"))),
              **SHORT),
        group("66", "a replaced program answers for itself", "replace_runtime",
              succeeds_with("another program")),
        group("66b", "a poisoned runtime fails alone", "poison",
              fails_with(("Runtime.MarshalError", "Runtime.ExitError", "Runtime.Crashed"))),
        group("66c", "traps for the end do not spring", "leave_traps", succeeds_with("set")),
        *(group(f"66{letter}", f"the way out by {how} is an outcome", "exit_by",
                fails_with(("Runtime.ExitError", "Runtime.Crashed", "KeyboardInterrupt")),
                {"how": how})
          for letter, how in zip("defghi", ("exit", "_exit", "abort", "segfault", "true",
                                            "interrupt"))),
        *(group(f"63{letter}", f"a result that is {value} is an error", "named",
                fails_with("Runtime.MarshalError"), {"value": value})
          for letter, value in zip(("wa", "wb", "wc", "wd", "we", "wf", "wg", "wh", "wi"),
                                   ("cycle", "generator", "bytes", "surrogate", "nan", "infinity",
                                    "key", "object", "module"))),
        group("63x", "a result above the limit is an error", "named",
              fails_with("Function.ResponseSizeTooLarge"), {"value": "too large"}),
    )

    def test_61m_a_late_answer_is_nobodys(self):
        function_id = self.upload_attack(name="late")
        self.addCleanup(self.client.request, "DELETE", f"/functions/{function_id}")
        event = {"attack": "right_then_late", "late": True}
        self.assertEqual(self.client.result(function_id, event), "in time")
        # The old answer comes inside this call: a violation, never this call's result.
        body = self.client.run(function_id, {"attack": "release_late"})
        if body["status"] == "SUCCEEDED":
            self.assertEqual(body["result"], "mine")
        else:
            self.assertIn(body["error"]["type"], ("Sandbox.ProtocolViolation", "NameError"))
        self.assertEqual(self.client.result(function_id, {"attack": "echo"}), "echo")

    def test_61n_a_foreseen_answer_is_nobodys(self):
        function_id = self.upload_attack(name="foresight", **SHORT)
        for _ in range(3):
            body = self.client.run(function_id, {"attack": "predict"})
            self.assertEqual(body.get("result", "mine"), "mine")
            # Found before the call, the sandbox is replaced; during it, the call fails.
            body = self.client.run(function_id, {"attack": "echo"})
            if body["status"] == "FAILED":
                VIOLATION(self, body)
            else:
                self.assertEqual(body["result"], "echo")
        self.retire(function_id)
        self.assert_nothing_left()

    def test_64b_the_flood_stays_out_of_the_servers_memory(self):
        def resident_kb():
            status = read_text(f"/proc/{self.server.pid}/status")
            return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

        before = resident_kb()
        body = self.check_group(group("64b", "", "output_flood", succeeds_with("written"),
                                      {"megabytes": 128}, violations="output_flood",
                                      timeoutMs=60_000))
        self.assertLess(resident_kb() - before, GROWTH_KB_MAX)
        self.assertLess(len(body["logs"]), LOG_BYTES_MAX + 100)
        self.assertIn("log cut at", body["logs"])

    def test_64c_what_is_printed_forges_no_line_of_the_servers_log(self):
        line = '{"level":"error","timestamp":"2000-01-01T00:00:00Z","msg":"%s"}' % FORGED
        lines = [f"\r\n{line}\n".encode(), f"\x1b[2J\x1b[31m{FORGED}\a\b\b".encode(),
                 FORGED.encode() + b"\xff\xe2\x82",
                 f"START RequestId: {FORGED}\nEND RequestId: {FORGED}\n".encode()]
        body = self.check_group(group("64c", "", "forged_log", succeeds_with("printed"),
                                      {"lines": [each.hex() for each in lines]}))
        self.assertIn(FORGED, body["logs"])
        self.assertNotIn(FORGED, self.server.log_text())
        self.server.log_lines()

    def test_65c_a_stolen_call_fails_alone(self):
        function_id = self.upload_attack(name="thief", timeoutMs=700)
        self.addCleanup(self.client.request, "DELETE", f"/functions/{function_id}")
        self.assertEqual(self.client.result(function_id, {"attack": "stand_between"}), "between")
        TIMED_OUT(self, self.client.run(function_id, {"attack": "echo"}))
        self.serve_innocent()
        self.assertEqual(self.client.result(function_id, {"attack": "echo"}), "echo")
        self.retire(function_id)
        self.assert_nothing_left()

    def test_66j_a_function_after_a_poisoned_one_is_whole(self):
        function_id = self.upload_attack(name="poison")
        self.client.run(function_id, {"attack": "poison"})
        for _ in range(2):
            self.client.run(function_id, {"attack": "echo"})
        other = self.client.upload(INNOCENT)
        self.assertEqual(self.client.result(other, 2)["double"], 4)
        self.retire(other)
        self.retire(function_id)
        eventually(lambda: self.client.metrics()['hearth_sandboxes{state="busy"}'] == 0, "idle")

    def test_67_no_answer_reaches_the_headers(self):
        break_out = "x\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n"
        function_id = self.upload_attack(name="headers")
        calls = ({"attack": "echo", "value": break_out}, {"attack": "echo", "value": {
                     "statusCode": 99999, "headers": {"set-cookie": break_out}}},
                 {"attack": "tell_lies", "type": break_out, "message": break_out},
                 {"attack": "tell_lies", "type": "x" * 300, "message": break_out},
                 {"attack": "tell_lies", "type": "Sandbox.Timedout", "message": break_out,
                  "stack": [break_out, {"a": [None]}]})
        for event in calls:
            answer = self.client.try_run(function_id, event)
            self.assertEqual(answer.status, 200)
            self.assertLessEqual(set(answer.headers), HEADERS, answer)
            self.assertEqual(int(answer.headers["content-length"]), len(answer.body))
            answer.json()
        self.server.log_lines()
        self.retire(function_id)
        self.assert_nothing_left()


if __name__ == "__main__":
    main()
