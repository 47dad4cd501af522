#!/usr/bin/python3
"""The examples, uploaded and called as a newcomer does, give what they promise."""

import io
import json
import pathlib
import subprocess
import zipfile

from harness import ServerTest, main

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "runtimes" / "python" / "examples"
EXAMPLES = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))["examples"]


def code_of(example):
    """(bytes, file name) of the upload: a file as it is, a folder as a zip."""
    path = FOLDER / example["code"]
    if path.is_file():
        return path.read_bytes(), path.name
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in example["files"]:
            archive.write(path / name, name)
    return out.getvalue(), f"{path.name}.zip"


class ExamplesTest(ServerTest):
    def check(self, example):
        code, file_name = code_of(example)
        fields = {"name": example["name"], "memoryMb": example["memoryMb"],
                  "timeoutMs": example["timeoutMs"], "env": example["env"]}
        if example["handler"] is not None:
            fields["handler"] = example["handler"]
        function_id = self.client.upload(code, file_name, **fields)
        event = json.loads((FOLDER / example["input"]).read_text(encoding="utf-8"))
        if example["async"]:
            bodies = [self.client.wait_for_job(self.client.submit(function_id, event))]
        else:
            bodies = [self.client.run(function_id, event) for _ in range(2)]
            self.assertEqual([each["coldStart"] for each in bodies], [True, False])
        for body in bodies:
            self.assertEqual(body["status"], "SUCCEEDED", body)
            compared = subprocess.run(
                ["/usr/bin/python3", "-B", FOLDER / "comparison.py", example["name"]],
                input=json.dumps(body["result"]), capture_output=True, text=True, check=False)
            self.assertEqual((compared.returncode, compared.stderr), (0, ""))

    def test_every_example_gives_its_expected_result(self):
        self.assertGreaterEqual(len(EXAMPLES), 4)
        for example in EXAMPLES:
            with self.subTest(example["name"]):
                self.check(example)


if __name__ == "__main__":
    main()
