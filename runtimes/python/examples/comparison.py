"""How a result is compared with what an example expects; the rules are described in README.md.

As a program: comparison.py NAME < result.json
exits 0 when the result is the expected one, otherwise 1 with the differences on standard error.
"""

import json
import math
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent


def load_manifest():
    return json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))["examples"]


def load(example, field):
    return json.loads((FOLDER / example[field]).read_text(encoding="utf-8"))


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def differences(expected, actual, compare, path="result"):
    """Every difference as one line of text; none means that the result is right."""
    rule = compare["rule"]
    if rule not in ("exact", "approximate", "subset"):
        raise ValueError(f"unknown comparison rule {rule}")
    if rule == "approximate" and is_number(expected) and is_number(actual):
        if math.isclose(
            expected, actual, rel_tol=compare["relative"], abs_tol=compare["absolute"]
        ):
            return []
        return [f"{path}: {actual}, expected about {expected}"]
    if isinstance(expected, dict) and isinstance(actual, dict):
        return dictionary_differences(expected, actual, compare, path)
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return [
            line
            for index, (left, right) in enumerate(zip(expected, actual))
            for line in differences(left, right, compare, f"{path}[{index}]")
        ]
    # True == 1 in Python, not in JSON.
    if expected == actual and isinstance(expected, bool) == isinstance(actual, bool):
        return []
    return [f"{path}: {actual!r}, expected {expected!r}"]


def dictionary_differences(expected, actual, compare, path):
    found = [f"{path}.{key}: missing" for key in expected.keys() - actual.keys()]
    if compare["rule"] != "subset":
        found += [f"{path}.{key}: not expected" for key in actual.keys() - expected.keys()]
    for key in expected.keys() & actual.keys():
        found += differences(expected[key], actual[key], compare, f"{path}.{key}")
    return sorted(found)


def main(arguments):
    examples = {example["name"]: example for example in load_manifest()}
    if len(arguments) != 1 or arguments[0] not in examples:
        print(f"usage: comparison.py {{{','.join(examples)}}} < result.json", file=sys.stderr)
        return 2
    example = examples[arguments[0]]
    found = differences(load(example, "expected"), json.load(sys.stdin), example["compare"])
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
