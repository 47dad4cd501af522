#!/usr/bin/python3
"""Archives made to hurt: each is refused with a reason, and nothing of it stays."""

import io
import os
import signal
import stat
import struct
import zipfile

from harness import Background, ServerTest, main, zip_of
from server import eventually, process_ids, read_text

HANDLER = "def handler(event, context):\n    return 'ran'\n"
ENTRIES_MAX = 10_000
UNPACKED_BYTES_MAX = 250 << 20


def entry(name, mode=0o644, kind=stat.S_IFREG):
    """A directory record as Unix makes it."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | mode) << 16
    return info


def zip_with(*extra, method=zipfile.ZIP_DEFLATED):
    """A working function beside the (record, content) pairs."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr(entry("main.py"), HANDLER, method)
        for info, content in extra:
            archive.writestr(info, content, method)
    return out.getvalue()


def zip64_end(entries, directory_bytes, directory_offset):
    """A zip64 end record at the end of the directory, with its locator."""
    record = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, entries, entries,
                         directory_bytes, directory_offset)
    return record + struct.pack("<IIQI", 0x07064B50, 0, directory_offset + directory_bytes, 1)


class ArchiveTest(ServerTest):
    def stored_code(self):
        folder = os.path.join(self.server.data_dir, "code")
        return {name for _, _, names in os.walk(folder) for name in names}

    def refuse(self, content, status=400, word=None):
        """The upload fails, leaves nothing, and says what is wrong with the archive."""
        before = self.stored_code(), self.client.get("/functions").json()
        answer = self.client.try_upload(content, "code.zip")
        code = {400: "bad_request", 413: "payload_too_large"}[status]
        message = self.assert_error(answer, status, code)["error"]["message"]
        if word is not None:
            self.assertIn(word, message)
        self.assertEqual((self.stored_code(), self.client.get("/functions").json()), before)
        self.assertEqual(os.listdir(os.path.join(self.server.data_dir, "unpacked")), [])

    def test_paths_that_lead_out_are_refused(self):
        for name in ("../evil.py", "a/../../evil.py", "/etc/evil.py", "//evil.py", "a/./b.py",
                     "a//b.py", "..", ".", "./main2.py", "a\\..\\evil.py", "C:\\evil.py", "a/..",
                     "\\\\host\\share.py", "a\x01b.py", "a\nb.py", "~/../x/.."):
            with self.subTest(name):
                self.refuse(zip_with((entry(name), b"x")))

    def test_names_that_are_too_long_or_too_deep_are_refused(self):
        for name in ("x" * 256 + ".py", "d/" * 33 + "x.py", "d" * 200 + "/" + "e" * 2000):
            with self.subTest(name[:20]):
                self.refuse(zip_with((entry(name), b"x")))

    def test_links_and_devices_are_refused(self):
        for kind in (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK):
            with self.subTest(oct(kind)):
                self.refuse(zip_with((entry("other", 0o777, kind), b"/etc/passwd")), word="link")

    def test_a_name_that_stands_twice_is_refused(self):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr(entry("main.py"), HANDLER)
            archive.writestr(entry("pain.py"), "raise ValueError\n")
        self.refuse(out.getvalue().replace(b"pain.py", b"main.py"), word="twice")
        self.refuse(zip_with((entry("main.py/", 0o755, stat.S_IFDIR), b"")), word="twice")

    def test_names_that_many_systems_take_for_one_are_refused(self):
        for one, other in (("Main.py", "main.py"), ("Pkg/a", "pkg/b"), ("caf\u00e9", "cafe\u0301")):
            with self.subTest(one):
                entries = (entry(one), b"1"), (entry(other), b"2")
                if one != "Main.py":
                    self.refuse(zip_with(*entries), word="differ in case or Unicode form")
                else:
                    self.refuse(zip_with(entries[0]), word="differ in case or Unicode form")

    def test_names_that_are_not_utf_8_are_refused(self):
        content = zip_with((entry("latin-X.py"), b"1"))
        self.refuse(content.replace(b"latin-X.py", b"latin-\xe9.py"), word="not plain UTF-8")

    def test_a_file_that_is_also_a_folder_is_refused(self):
        file, folder = (entry("a"), b"x"), (entry("a/b.py"), b"x")
        for entries in ((file, folder), (folder, file)):
            self.refuse(zip_with(*entries), word="a file and a folder")

    def test_encrypted_entries_are_refused(self):
        content = bytearray(zip_of({"main.py": HANDLER}))
        local = content.find(b"PK\x03\x04") + 6
        central = content.find(b"PK\x01\x02") + 8
        for at in (local, central):
            struct.pack_into("<H", content, at, struct.unpack_from("<H", content, at)[0] | 1)
        self.refuse(bytes(content), word="encrypted")

    def test_every_truncation_is_refused(self):
        content = zip_of({"main.py": HANDLER * 20})
        for size in (0, 1, 4, 22, len(content) // 2, len(content) - 23, len(content) - 1):
            with self.subTest(size):
                self.refuse(content[:size])

    def test_content_that_differs_from_its_checksum_is_refused(self):
        content = zip_with((entry("data.bin"), b"abcdefgh" * 100), method=zipfile.ZIP_STORED)
        for at in (content.find(b"abcdefgh") + 300, content.find(b"return 'ran'")):
            damaged = bytearray(content)
            damaged[at] ^= 1
            self.refuse(bytes(damaged))

    def test_sizes_that_lie_are_refused(self):
        content = bytearray(zip_of({"main.py": HANDLER * 100}))
        central = content.find(b"PK\x01\x02")
        for offset, size in ((24, 10), (24, 2**32 - 2), (20, 3), (42, 7)):
            damaged = bytearray(content)
            struct.pack_into("<I", damaged, central + offset, size)
            with self.subTest(offset=offset, size=size):
                answer = self.client.try_upload(bytes(damaged), "code.zip")
                self.assertIn(answer.status, (400, 413), answer)
                self.assert_error(answer, answer.status)

    def test_parts_that_contradict_each_other_are_refused(self):
        content = zip_with((entry("data.txt"), b"d" * 100), method=zipfile.ZIP_STORED)
        record = content.find(b"PK\x01\x02", content.find(b"PK\x01\x02") + 1)
        end = content.find(b"PK\x05\x06")
        other_name = content.replace(b"data.txt", b"DATA.txt", 1)
        shared = bytearray(content)
        struct.pack_into("<I", shared, record + 42, 0)
        comment = bytearray(content)
        struct.pack_into("<H", comment, end + 20, 22)
        for damaged, word in (
            (other_name, "disagree"),
            (bytes(shared), "shares bytes"),
            (bytes(comment) + content[end:], "two archives"),
            (content + b"garbage", "bytes follow its end"),
            (b"garbage" + content, "not where its end says"),
            (content[:end] + zip64_end(1, end, 0) + content[end:], "disagree"),
            (zip_of({}), "no file"),
        ):
            with self.subTest(word):
                self.refuse(damaged, word=word)

    def test_a_million_entries_are_413(self):
        million = 1_000_000
        directory = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"n"
        directory *= million
        content = directory + zip64_end(million, len(directory), 0)
        content += b"PK\x05\x06" + bytes(4) + b"\xff" * 12 + bytes(2)
        self.assertLess(len(content), 50 << 20)
        self.refuse(content, 413, "1000000 entries")

    def test_bombs_are_413(self):
        self.refuse(zip_with((entry("zeros"), bytes(64 << 20))), 413, "times its size")
        over = [(entry(f"part{n}"), os.urandom(400_000) + bytes(52 << 20)) for n in range(5)]
        self.assertGreater(sum(len(content) for _, content in over), UNPACKED_BYTES_MAX)
        self.refuse(zip_with(*over), 413, "250 MB")

    def test_more_entries_than_the_limit_are_413(self):
        files = {f"d{number % 100}/f{number}.py": "" for number in range(ENTRIES_MAX)}
        self.refuse(zip_of({**files, "main.py": HANDLER}), 413, str(ENTRIES_MAX))

    def test_what_is_no_zip_is_refused(self):
        for content in (b"x", b"def handler(e, c): pass\n", os.urandom(5000), b"PK\x03\x04",
                        b"PK\x05\x06" + bytes(18) + b"x", b"Rar!\x1a\x07\x00" + bytes(100)):
            with self.subTest(content[:10]):
                self.refuse(content)


class ReaderTest(ServerTest):
    """The process that reads an archive, as the server's operator sees it."""

    def readers(self):
        """The processes hearth-unpack of this server; one waits, further ones work."""
        found = []
        for pid in process_ids():
            fields = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
            arguments = read_text(f"/proc/{pid}/cmdline")
            if fields and int(fields[1]) == self.server.pid and "hearth-unpack" in arguments:
                found.append(pid)
        return found

    def test_one_that_hangs_holds_up_nobody_and_is_the_end_of_its_upload_alone(self):
        stuck = self.readers()
        self.assertEqual(len(stuck), 1, "one waits")
        os.kill(stuck[0], signal.SIGSTOP)
        hanging = Background(lambda: self.client.try_upload(zip_with(), "code.zip"))
        eventually(lambda: len(self.readers()) == 2, "the next one waits while that one hangs")
        for _ in range(5):
            function = self.client.upload(zip_with(), "code.zip")
            self.assertEqual(self.client.result(function), "ran")
        self.assertIn(stuck[0], self.readers())
        os.kill(stuck[0], signal.SIGKILL)
        answer = hanging.result()
        message = self.assert_error(answer, 400, "bad_request")["error"]["message"]
        self.assertIn("its reader failed", message)
        eventually(lambda: len(self.readers()) == 1, "one waits")

    def test_it_has_no_rights_no_environment_and_one_descriptor(self):
        pid = self.readers()[0]
        status = dict(line.split(":\t", 1) for line in
                      read_text(f"/proc/{pid}/status").splitlines() if ":\t" in line)
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertNotEqual(status["Uid"].split()[0], "0")
        self.assertEqual(read_text(f"/proc/{pid}/environ"), "")
        eventually(lambda: sorted(map(int, os.listdir(f"/proc/{pid}/fd"))) == [0, 1, 2, 3],
                   "standard descriptors and its socket")


class GoodArchiveTest(ServerTest):
    """What looks odd and is right must work."""

    def test_archives_of_all_kinds_are_taken(self):
        deep = "/".join(f"d{number}" for number in range(30))
        for content in (
            zip_with(method=zipfile.ZIP_STORED),
            zip_with((entry("empty/", 0o755, stat.S_IFDIR), b""), (entry("empty/x"), b"")),
            zip_with((entry("имя/файл.txt"), b"x"), (entry("with space.txt"), b"x")),
            zip_with((entry(f"{deep}/x.txt"), b"x")),
            zip_with((entry("no-mode", 0, 0), b"x"), (entry("private", 0o600), b"x")),
            zip_of({f"d{n}/f{n}.py": "" for n in range(ENTRIES_MAX - 1)} | {"main.py": HANDLER}),
        ):
            answer = self.client.try_upload(content, "code.zip")
            self.assertEqual(answer.status, 201, answer)
            self.assertEqual(self.client.result(answer.json()["functionId"]), "ran")

    def test_an_upload_that_breaks_off_leaves_no_file(self):
        connection = self.client.connect()
        connection.putrequest("POST", "/upload")
        for name, value in (("x-api-key", self.server.api_key), ("content-length", "5000000"),
                            ("content-type", "multipart/form-data; boundary=b")):
            connection.putheader(name, value)
        connection.endheaders()
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
        connection.send(head + b"x" * 2_000_000)

        def held_files():
            folder = f"/proc/{self.server.pid}/fd"
            found = 0
            for name in os.listdir(folder):
                try:
                    target = os.readlink(os.path.join(folder, name))
                except OSError:
                    continue
                found += target.startswith(self.server.data_dir) and "(deleted)" in target
            return found

        eventually(lambda: held_files() == 1, "the upload is on its way")
        connection.close()
        eventually(lambda: held_files() == 0, "the upload's file is given up")


if __name__ == "__main__":
    main()
