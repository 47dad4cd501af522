#!/usr/bin/python3
"""What the examples promise, by calling their handlers directly."""

import base64
import importlib.util
import io
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import zipfile
from unittest import mock

import numpy
import pandas
from PIL import Image

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "runtimes" / "python" / "examples"
sys.dont_write_bytecode = True


class Context:
    """The part of the context that examples use."""

    memory_limit_in_mb = 128

    def __init__(self, function_name):
        self.function_name = function_name

    def get_remaining_time_in_millis(self):
        return 10_000


def load_module(path):
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


comparison = load_module(FOLDER / "comparison.py")
EXAMPLES = {example["name"]: example for example in comparison.load_manifest()}


def call(name, event=None):
    """The result as JSON would carry it, of the example's own input unless another is given."""
    example = EXAMPLES[name]
    code = FOLDER / example["code"]
    event = comparison.load(example, "input") if event is None else event
    entry = code / "main.py" if code.is_dir() else code
    with mock.patch.dict(os.environ, example["env"]), mock.patch.object(
        sys, "path", [str(entry.parent), *sys.path]
    ), mock.patch("sys.stdout", io.StringIO()):
        result = load_module(entry).handler(event, Context(name))
    return json.loads(json.dumps(result, allow_nan=False))


class ManifestTest(unittest.TestCase):
    def test_every_example_gives_its_expected_result(self):
        for name, example in EXAMPLES.items():
            with self.subTest(name):
                found = comparison.differences(
                    comparison.load(example, "expected"), call(name), example["compare"]
                )
                self.assertEqual(found, [])

    def test_every_folder_is_in_the_manifest_and_every_field_is_of_its_type(self):
        folders = {path.parent.name for path in FOLDER.glob("*/expected.json")}
        self.assertEqual(folders, {e["code"].split("/")[0] for e in EXAMPLES.values()})
        for example in EXAMPLES.values():
            with self.subTest(example["name"]):
                self.assertTrue((FOLDER / example["code"]).exists())
                self.assertGreaterEqual(example["memoryMb"], 128)
                self.assertIsInstance(example["async"], bool)
                self.assertTrue(set(example["show"]) <= set(call(example["name"])))

    def test_a_zip_example_lists_every_file_of_its_package(self):
        for example in EXAMPLES.values():
            folder = FOLDER / example["code"]
            if folder.is_dir():
                found = {str(path.relative_to(folder)) for path in folder.rglob("*.py")}
                self.assertEqual(found, set(example["files"]))

    def test_a_zip_example_imports_its_package_from_the_zip_alone(self):
        example = EXAMPLES["wordcount"]
        with tempfile.TemporaryDirectory() as folder:
            archive = pathlib.Path(folder, "code.zip")
            with zipfile.ZipFile(archive, "w") as target:
                for name in example["files"]:
                    target.write(FOLDER / example["code"] / name, name)
            script = (
                "import json, sys; sys.path.insert(0, sys.argv[1]); import main\n"
                "print(json.dumps(main.handler(json.load(sys.stdin), None)))"
            )
            done = subprocess.run(
                ["/usr/bin/python3", "-I", "-c", script, str(archive)],
                input=(FOLDER / example["input"]).read_bytes(),
                capture_output=True,
                check=True,
            )
        self.assertEqual(json.loads(done.stdout), comparison.load(example, "expected"))

    def test_a_generated_input_is_the_same_when_it_is_generated_again(self):
        report = load_module(FOLDER / "csv_report" / "make_input.py")
        self.assertEqual(report.make(), comparison.load(EXAMPLES["csv-report"], "input"))
        # The encoder may differ between versions of Pillow; the pixels may not.
        shipped = comparison.load(EXAMPLES["thumbnail"], "input")["image"]
        picture = Image.open(io.BytesIO(base64.b64decode(shipped))).convert("RGB")
        drawn = load_module(FOLDER / "thumbnail" / "make_input.py").draw()
        self.assertEqual(picture.tobytes(), drawn.tobytes())


class ResultsAgainstAnotherComputation(unittest.TestCase):
    def test_the_csv_report_agrees_with_pandas(self):
        event = comparison.load(EXAMPLES["csv-report"], "input")
        frame = pandas.read_csv(io.StringIO(event["csv"])).dropna()
        report = call("csv-report")
        self.assertEqual(report["rows"], len(frame))
        self.assertAlmostEqual(report["total"], frame["amount"].sum(), places=3)
        grouped = frame.groupby("region")["amount"]
        self.assertEqual({group["name"] for group in report["groups"]}, set(grouped.groups))
        for group in report["groups"]:
            values = grouped.get_group(group["name"])
            self.assertEqual(group["count"], len(values))
            self.assertAlmostEqual(group["mean"], values.mean(), places=3)
            self.assertAlmostEqual(group["median"], values.median(), places=3)
            self.assertAlmostEqual(group["stdev"], values.std(), places=3)

    def test_the_thumbnail_has_the_mean_colours_of_the_picture(self):
        event = comparison.load(EXAMPLES["thumbnail"], "input")
        result = call("thumbnail")
        small = Image.open(io.BytesIO(base64.b64decode(result["image"])))
        self.assertEqual((small.format, small.size), ("PNG", (128, 80)))
        large = Image.open(io.BytesIO(base64.b64decode(event["image"]))).convert("RGB")
        blocks = numpy.asarray(large, dtype=float).reshape(80, 5, 128, 5, 3).mean(axis=(1, 3))
        self.assertLess(numpy.abs(blocks - numpy.asarray(small, dtype=float)).mean(), 2.0)

    def test_the_ranks_solve_the_equations_of_pagerank(self):
        event = comparison.load(EXAMPLES["pagerank"], "input") | {"top": 100}
        ranks = {entry["node"]: entry["rank"] for entry in call("pagerank", event)["ranks"]}
        neighbours = {node: [] for node in ranks}
        for left, right in event["edges"]:
            neighbours[left].append(right)
            neighbours[right].append(left)
        self.assertAlmostEqual(math.fsum(ranks.values()), 1.0, places=9)
        for node, rank in ranks.items():
            shares = (ranks[other] / len(neighbours[other]) for other in neighbours[node])
            incoming = math.fsum(shares)
            self.assertAlmostEqual(rank, 0.85 * incoming + 0.15 / len(ranks), places=9)

    def test_the_simulated_price_is_within_four_standard_errors_of_the_formula(self):
        event = comparison.load(EXAMPLES["option-price"], "input")
        spread = event["volatility"] * math.sqrt(event["years"])
        discount = math.exp(-event["rate"] * event["years"])
        forward = math.log(event["spot"] / event["strike"]) + event["rate"] * event["years"]
        above, below = (forward / spread + sign * spread / 2 for sign in (1, -1))
        normal = lambda x: (1 + math.erf(x / math.sqrt(2))) / 2  # noqa: E731
        formula = event["spot"] * normal(above) - event["strike"] * discount * normal(below)
        result = call("option-price")
        self.assertLess(abs(result["price"] - formula), 4 * result["standardError"])


class Edges(unittest.TestCase):
    def test_hello_greets_the_world_when_no_name_is_given(self):
        self.assertEqual(call("hello", {})["message"], "Welcome, world!")

    def test_a_missing_column_is_named(self):
        event = {"csv": "a,b\n1,2\n", "groupBy": "region", "value": "b"}
        with self.assertRaisesRegex(ValueError, "no column region"):
            call("csv-report", event)

    def test_a_page_without_links_loses_no_rank(self):
        result = call("pagerank", {"edges": [["a", "b"]], "directed": True})
        ranks = {entry["node"]: entry["rank"] for entry in result["ranks"]}
        self.assertAlmostEqual(sum(ranks.values()), 1.0, places=9)
        self.assertGreater(ranks["b"], ranks["a"])

    def test_what_is_not_a_picture_is_an_error(self):
        with self.assertRaises(Exception):
            call("thumbnail", {"image": base64.b64encode(b"not a picture").decode()})
        with self.assertRaisesRegex(ValueError, "maxSize"):
            call("thumbnail", {"image": "", "maxSize": 0})


class ComparisonTest(unittest.TestCase):
    def compare(self, expected, actual, rule, **settings):
        return comparison.differences(expected, actual, {"rule": rule, **settings})

    def test_exact_sees_every_difference(self):
        self.assertEqual(self.compare({"a": [1, None]}, {"a": [1, None]}, "exact"), [])
        others = ({"a": [1]}, {"a": [1, 0]}, {"a": [True, None]}, {}, {"a": [1, None], "b": 0})
        for actual in others:
            self.assertNotEqual(self.compare({"a": [1, None]}, actual, "exact"), [], actual)

    def test_approximate_allows_numbers_to_differ_a_little_and_nothing_else(self):
        tolerance = {"relative": 1e-6, "absolute": 0}
        self.assertEqual(self.compare([1.0, "x"], [1.0000001, "x"], "approximate", **tolerance), [])
        self.assertNotEqual(self.compare([1.0], [1.001], "approximate", **tolerance), [])
        self.assertNotEqual(self.compare(["x"], ["y"], "approximate", **tolerance), [])

    def test_subset_allows_more_fields_and_no_fewer(self):
        self.assertEqual(self.compare({"a": 1}, {"a": 1, "b": 2}, "subset"), [])
        self.assertNotEqual(self.compare({"a": 1, "b": 2}, {"a": 1}, "subset"), [])


if __name__ == "__main__":
    unittest.main()
