"""Confined paths, on real folders and real links."""

import contextlib
import ctypes
import errno
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from resttorrent.errors import BadParameter, CommandError, EngineError, PathOutsideRoots
from resttorrent.paths import Roots
from resttorrent.paths.files import with_ancestors
from resttorrent.paths.openat2 import FOLDER, Openat2
from resttorrent.paths.walk import LISTING_PAYS


class NoOpenat2(Openat2):
    """A kernel without it."""

    def __init__(self) -> None:
        super().__init__()
        self.usable = False


class PathsTestCase(SynchronousTestCase):
    """
    Two roots and a folder that is none.

    :cvar openat2: how folders are opened.

    root/{inner/deep/, file, here→inner, up→.., out→outside, other→second, ring→ring, dangling→outside/none}
    """

    openat2: type[Openat2] = Openat2

    def setUp(self) -> None:
        # trial's folder may lie behind a link of its own
        self.top = Path(self.mktemp()).absolute()
        self.top.mkdir(parents=True)
        self.top = self.top.resolve()
        self.root, self.second, self.outside = (self.top / name for name in ("root", "second", "outside"))
        for folder in (self.root / "inner" / "deep", self.second, self.outside):
            folder.mkdir(parents=True)
        (self.root / "file").write_bytes(b"x")
        (self.outside / "file").write_bytes(b"x")
        for name, target in (
            ("here", "inner"),
            ("up", ".."),
            ("out", str(self.outside)),
            ("other", "../second"),
            ("ring", "ring"),
            ("dangling", str(self.outside / "none")),
            ("absolute", str(self.root / "inner")),
        ):
            (self.root / name).symlink_to(target)
        self.roots = self.make_roots(self.root, self.second)

    def make_roots(self, *roots: Path) -> Roots:
        return Roots(roots, self.openat2())

    def tree(self) -> list[str]:
        """All that exists, links not followed."""
        return sorted(
            os.path.join(folder, name)  # noqa: PTH118
            for folder, folders, files in os.walk(self.top)
            for name in (*folders, *files)
        )

    def assert_refused(self, kind: type[CommandError], call: Callable[..., object], *args: object) -> str:
        before = self.tree()
        error: CommandError = self.assertRaises(kind, call, *args)
        self.assertEqual(self.tree(), before)
        return error.message


class RootsTests(PathsTestCase):
    def test_must_be_absolute_and_at_least_one(self) -> None:
        self.assertRaises(ValueError, Roots, [])
        self.assertRaises(ValueError, Roots, [Path("relative")])
        self.assertRaises(ValueError, Roots, [self.root / "ring"])

    def test_root_that_is_a_link(self) -> None:
        roots = Roots([self.root / "out"])
        self.assertEqual(roots.paths, (str(self.outside),))
        self.assertEqual(roots.confine("x"), str(self.outside / "x"))
        self.assertEqual(roots.confine(str(self.root / "out" / "x")), str(self.outside / "x"))

    def test_root_that_does_not_exist_yet(self) -> None:
        self.assertEqual(Roots([self.top / "new"]).confine("x"), str(self.top / "new" / "x"))
        self.assertFalse((self.top / "new").exists())

    def test_whole_file_system(self) -> None:
        self.assertEqual(Roots([Path("/")]).confine(str(self.outside)), str(self.outside))


class ConfineTests(PathsTestCase):
    def test_inside(self) -> None:
        before = self.tree()
        for given_path, expected in (
            (".", self.root),
            ("inner", self.root / "inner"),
            ("./inner//deep/", self.root / "inner" / "deep"),
            ("new/deeper", self.root / "new" / "deeper"),
            ("new/../inner", self.root / "inner"),
            ("inner/../new", self.root / "new"),
            ("here/deep", self.root / "inner" / "deep"),
            ("here/..", self.root),
            ("absolute/x", self.root / "inner" / "x"),
            ("other/x", self.second / "x"),
            ("up/root/x", self.root / "x"),
            ("up/second/x", self.second / "x"),
            ("../second/x", self.second / "x"),
            (" ", self.root / " "),
            ("a\\..\\b", self.root / "a\\..\\b"),
            ("%2e%2e", self.root / "%2e%2e"),
            ("...", self.root / "..."),
            ("日本\n", self.root / "日本\n"),
            (str(self.root), self.root),
            (str(self.second / "x"), self.second / "x"),
            ("/" + str(self.second), self.second),
        ):
            self.assertEqual(self.roots.confine(given_path), str(expected), given_path)
        self.assertEqual(self.tree(), before)

    def test_outside(self) -> None:
        for path in (
            "..", "../", "inner/../..", "new/../../x", "../outside", "../root2", "/", "/etc", str(self.top),
            str(self.root) + "2", f"{self.root}/../outside", "out", "out/x", "out/file/x", "up", "up/outside",
            "here/../../outside", "other/..", "dangling", "dangling/x", "../../../../../../../../etc",
        ):  # fmt: skip
            error = self.assertRaises(PathOutsideRoots, self.roots.confine, path)
            self.assertEqual(error.field, "save_path", path)

    def test_bad(self) -> None:
        before = self.tree()
        for path in (
            "", "\0", "a\0b", "\ud800", "a/\udcff", "a" * 256, "é" * 128, "a/" * 2047 + "bc", "a/" * 10_000,
            "a/" * 2040, "file", "file/", "file/x", "file/../x", "ring", "ring/x",
        ):  # fmt: skip
            error = self.assertRaises(BadParameter, self.roots.confine, path)
            self.assertEqual(error.field, "save_path", path)
        self.assertEqual(self.tree(), before)

    def test_longest_name(self) -> None:
        self.assertEqual(self.roots.confine("a" * 255), str(self.root / ("a" * 255)))

    def test_link_to_a_name_that_is_no_text(self) -> None:
        name = os.fsdecode(b"\xff")
        (self.root / name).mkdir()
        (self.root / "odd").symlink_to(name)
        self.assertRaises(BadParameter, self.roots.confine, "odd")

    @settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.differing_executors])
    @given(
        st.lists(
            st.sampled_from(
                ["..", ".", "", "inner", "deep", "here", "up", "out", "other", "absolute", "new", "file",
                 "ring", "root", "second", "outside", "dangling", "é", "\u202e", "..."]
            ),
            max_size=8,
        ),
        st.sampled_from(["", "/", "//"]),
        st.booleans(),
    )  # fmt: skip
    def test_never_escapes(self, names: Sequence[str], tail: str, absolute: bool) -> None:
        path = "/".join(names) + tail
        if absolute:
            path = f"{self.root}/{path}"
        try:
            real = self.roots.confine(path)
        except (BadParameter, PathOutsideRoots):
            return
        # judged by the standard library's own resolution
        start = path if path.startswith("/") else f"{self.root}/{path}"
        self.assertEqual(real, os.path.realpath(start))
        self.assertTrue(any(Path(real).is_relative_to(root) for root in (self.root, self.second)))
        self.assertEqual(self.roots.confine(real), real)

    @settings(deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(st.text(max_size=300))
    def test_any_text(self, path: str) -> None:
        try:
            real = self.roots.confine(path)
        except (BadParameter, PathOutsideRoots) as error:
            self.assertEqual(error.field, "save_path")
            return
        self.assertTrue(any(Path(real).is_relative_to(root) for root in (self.root, self.second)))


class CheckTests(PathsTestCase):
    def check(self, *paths: str, save_path: Path | None = None) -> None:
        self.roots.check_files(str(save_path or self.root), paths)

    def test_fine(self) -> None:
        self.check()
        self.check("file", "none", "inner/x", "new/deep/x", "here/x", "here/deep/x", "other/x", "absolute/x")
        self.check("file/x", "file/x/y")  # a file where a folder should be: not ours to judge
        self.check("ring", "ring/x")  # leads nowhere
        self.check("a\\b", "日本\n/x", "x" * 300, "y" * 300 + "/z", "...", " ")
        self.check("x", save_path=self.root / "new" / "deeper")
        self.check("x", save_path=self.root / "other")

    def test_links_that_lead_out(self) -> None:
        for path in ("out/x", "out/deep/x", "up/x", "dangling/x", "inner/../x", "here/link/x"):
            (self.root / "inner" / "link").unlink(missing_ok=True)
            (self.root / "inner" / "link").symlink_to(self.outside)
            self.assert_refused(PathOutsideRoots, self.check, "file", path)

    def test_files_that_are_links(self) -> None:
        for name in ("out", "dangling", "up"):
            self.assertIn(name, self.assert_refused(PathOutsideRoots, self.check, "file", name))
        (self.root / "inner" / "link").symlink_to("../file")
        self.check("inner/link")

    def test_save_path_that_leads_out(self) -> None:
        for path in ("out", "out/x", "ring", "file/x"):
            message = self.assert_refused(PathOutsideRoots, self.roots.check_files, str(self.root / path), [])
            self.assertIn(path.partition("/")[0], message)
        self.assert_refused(PathOutsideRoots, self.roots.check_files, "/etc", ["x"])

    def test_paths_that_no_torrent_has(self) -> None:
        for path in (
            "",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a//b",
            "./a",
            "a/.",
            "a/",
            "a\0b",
            "\ud800/x",
            "/x",
        ):
            self.assert_refused(PathOutsideRoots, self.check, "file", path)
            self.assert_refused(PathOutsideRoots, self.roots.delete_files, str(self.root), ["file", path], ())

    def test_message_is_bounded_text(self) -> None:
        name = os.fsdecode(b"\xff" + b"y" * 200)
        (self.root / name).symlink_to(self.outside)
        message = self.assert_refused(PathOutsideRoots, self.check, name)
        message.encode()
        self.assertIn("yyy", message)

    def test_many_files_in_one_folder(self) -> None:
        names = [f"here/{number}" for number in range(LISTING_PAYS)]
        self.check(*names)
        (self.root / "inner" / "stranger").symlink_to(self.outside)
        self.check(*names)
        (self.root / "inner" / "7").symlink_to(self.outside / "file")
        self.assertIn("inner/7", self.assert_refused(PathOutsideRoots, self.check, *names))
        self.check(*(f"file/{number}" for number in range(LISTING_PAYS)))

    def test_each_folder_once(self) -> None:
        looked_at: list[object] = []
        stat = os.stat

        def counting(path: str, **options: Any) -> os.stat_result:
            looked_at.append(path)
            return stat(path, **options)

        self.patch(os, "stat", counting)
        self.check(*(f"inner/deep/{number}" for number in range(100)), *(f"no/where/{n}" for n in range(100)))
        below = [path for path in looked_at if str(path).startswith(str(self.root) + "/")]
        self.assertEqual(len(below), 2 + 100 + 1)  # inner, deep, its files; no


class DeletionTestCase(PathsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.save_path = self.root / "downloads"
        self.save_path.mkdir()

    def make(self, paths: Iterable[str], base: Path | None = None) -> None:
        for path in paths:
            file = (base or self.save_path) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"x")

    def delete(self, *paths: str, keep: Sequence[str] = ()) -> None:
        self.roots.delete_files(str(self.save_path), paths, frozenset(keep))

    def left(self, base: Path | None = None) -> list[str]:
        base = base or self.save_path
        return sorted(str(path.relative_to(base)) for path in base.rglob("*"))


class DeleteTests(DeletionTestCase):
    def test_files_and_the_folders_left_empty(self) -> None:
        files = ["T/a", "T/d/b", "T/d/e/c", "T/f/g/h", "single"]
        self.make([*files, "T/d/stranger", "other"])
        self.delete(*files)
        self.assertEqual(self.left(), ["T", "T/d", "T/d/stranger", "other"])
        (self.save_path / "T/d/stranger").unlink()
        self.delete(*files)  # all missing by now, which is no error
        self.assertEqual(self.left(), ["other"])

    def test_save_path_stays(self) -> None:
        self.make(["a"])
        self.delete("a")
        self.assertTrue(self.save_path.is_dir())
        self.make(["a"], self.root)
        self.roots.delete_files(str(self.root), ["a"], ())
        self.assertTrue(self.root.is_dir())

    def test_missing_save_path(self) -> None:
        self.roots.delete_files(str(self.root / "none" / "deep"), ["a", "b/c"], ())
        missing_root = self.make_roots(self.top / "new")
        missing_root.delete_files(str(self.top / "new"), ["a"], ())

    def test_a_root_below_the_save_path_stays(self) -> None:
        nested = self.save_path / "T" / "nested"
        self.make(["T/nested/a"])
        self.make_roots(self.root, nested).delete_files(str(self.save_path), ["T/nested/a"], ())
        self.assertEqual(self.left(), ["T", "T/nested"])

    def test_keep(self) -> None:
        self.make(["T/a", "T/b", "T/d/c"])
        self.delete("T/a", "T/b", "T/d/c", keep=[str(self.save_path / "T/b"), "T/a", "/T/a"])
        self.assertEqual(self.left(), ["T", "T/b"])

    def test_keep_through_a_linked_save_path(self) -> None:
        self.make(["a", "b", "c"], self.root / "inner")
        for named in (self.root / "here" / "a", self.root / "inner" / "b"):
            self.roots.delete_files(str(self.root / "here"), ["a", "b"], frozenset([str(named)]))
            self.assertTrue(named.exists())
            self.make(["a", "b"], self.root / "inner")

    def test_odd_names(self) -> None:
        names = ["a\\b", " ", "-rf", "new\nline", "\u202e", "é/..x", "*", os.fsdecode(b"\xff")]
        self.make(names)
        self.delete(*names, "x" * 300, "y" * 300 + "/z")
        self.assertEqual(self.left(), [])

    def test_a_folder_in_the_place_of_a_file(self) -> None:
        self.make(["T/a/x"])
        self.delete("T/a", "T/a/x/y")
        self.assertEqual(self.left(), ["T", "T/a", "T/a/x"])

    def test_links_refuse_the_whole(self) -> None:
        self.make(["T/a", "b"])
        self.make(["a"], self.outside)
        for target in (self.outside, self.root / "inner", self.save_path / "T"):
            link = self.save_path / "link"
            link.symlink_to(target)
            for path in ("link/a", "link/deep/a"):
                message = self.assert_refused(PathOutsideRoots, self.delete, "T/a", path, "b")
                self.assertIn("link", message)
            link.unlink()

    def test_save_path_that_leads_out(self) -> None:
        self.save_path.rmdir()
        self.save_path.symlink_to(self.outside)
        self.assert_refused(PathOutsideRoots, self.delete, "file")

    def test_a_file_that_is_a_link(self) -> None:
        (self.save_path / "inside").symlink_to("../file")
        self.delete("inside")
        self.assertEqual(self.left(), [])
        self.assertTrue((self.root / "file").exists())
        (self.save_path / "leaving").symlink_to(self.outside / "file")
        self.assert_refused(PathOutsideRoots, self.delete, "leaving")

    def test_what_the_system_refuses_is_an_error(self) -> None:
        self.make(["T/a", "T/b"])
        unlink = os.unlink

        def refusing(path: str, *, dir_fd: int | None = None) -> None:
            if path == "a":
                raise PermissionError(1, "Operation not permitted")
            unlink(path, dir_fd=dir_fd)

        self.patch(os, "unlink", refusing)
        error = self.assertRaises(EngineError, self.delete, "T/a", "T/b")
        self.assertIn("T/a: Operation not permitted", error.message)
        self.assertEqual(self.left(), ["T", "T/a"])

    def test_no_descriptor_is_left_open(self) -> None:
        files = [f"T/{'d/' * depth}f" for depth in range(1, 20)]
        self.make(files)
        before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0  # noqa: PTH208
        self.delete(*files, "T/none/x")
        after = len(os.listdir("/proc/self/fd")) if before else 0  # noqa: PTH208
        self.assertEqual(before, after)
        self.assertEqual(self.left(), [])

    def test_deepest_folders_first(self) -> None:
        folders = with_ancestors(["a/b/c", "", "a/b", "d"])
        self.assertEqual((folders[:2], sorted(folders[2:])), (["a/b/c", "a/b"], ["a", "d"]))


class DeleteByNameTests(DeleteTests):
    openat2 = NoOpenat2


class RaceTests(DeletionTestCase):
    """A folder turns into a link to a victim's, between the check and the deletion."""

    def setUp(self) -> None:
        super().setUp()
        self.names = [f"f{number}" for number in range(10)]
        self.victim = self.outside / "victim"
        self.make(self.names, self.victim)
        self.make(["deep/f0"], self.victim)
        self.victims = self.left(self.victim)
        self.folder = self.save_path / "T" / "d"
        self.away = self.save_path / "T" / "away"

    def swap(self) -> None:
        self.folder.rename(self.away)
        self.folder.symlink_to(self.victim)

    def swap_back(self) -> None:
        self.folder.unlink()
        self.away.rename(self.folder)

    def keep_that_swaps(self, trigger: str) -> "SwappingKeep":
        return SwappingKeep(str(self.save_path / trigger), self.swap)

    def test_swapped_before_it_is_opened(self) -> None:
        self.make(["T/d/f0", "T/d/deep/f0", "a", "z"])
        paths = ["a", "T/d/f0", "T/d/deep/f0", "z"]
        error = self.assertRaises(
            PathOutsideRoots, self.roots.delete_files, str(self.save_path), paths, self.keep_that_swaps("a")
        )
        self.assertIn("T/d", error.message)
        self.assertEqual(self.left(self.victim), self.victims)
        self.assertEqual(self.left(), ["T", "T/away", "T/away/deep", "T/away/deep/f0", "T/away/f0", "T/d"])
        self.assertTrue(self.folder.is_symlink())

    def test_swapped_after_it_was_opened(self) -> None:
        self.make([f"T/d/{name}" for name in self.names])
        paths = [f"T/d/{name}" for name in self.names]
        self.roots.delete_files(str(self.save_path), paths, self.keep_that_swaps("T/d/f0"))
        self.assertEqual(self.left(self.victim), self.victims)
        self.assertEqual(self.left(self.away), [])

    def test_a_thread_that_swaps_all_the_time(self) -> None:
        paths = [f"T/d/{name}" for name in self.names] + ["T/d/deep/f0"]
        self.make(["T/d/stranger"])  # so that the folder stays for the next swap
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        self.addCleanup(sys.setswitchinterval, interval)
        stop, swapped = threading.Event(), threading.Event()
        with ThreadPoolExecutor(1) as pool:
            swapping = pool.submit(self.keep_swapping, stop, swapped)
            self.assertTrue(swapped.wait(60))
            try:
                for _ in range(500):
                    with contextlib.suppress(PathOutsideRoots):
                        self.roots.delete_files(str(self.save_path), paths, ())
            finally:
                stop.set()
            swapping.result()
        self.assertEqual(self.left(self.victim), self.victims)
        self.assertEqual(self.left(self.folder), ["stranger"])

    def keep_swapping(self, stop: threading.Event, swapped: threading.Event) -> None:
        while not stop.is_set():
            self.swap()
            self.swap_back()
            swapped.set()


class RaceByNameTests(RaceTests):
    openat2 = NoOpenat2


class SwappingKeep:
    """Keeps nothing, but swaps when it is asked about one path: a moment after the check, none sooner."""

    def __init__(self, trigger: str, swap: Callable[[], None]) -> None:
        self._trigger = trigger
        self._swap = swap

    def __contains__(self, path: object) -> bool:
        if path == self._trigger:
            self._trigger = ""
            self._swap()
        return False


class Openat2Tests(PathsTestCase):
    """The call itself; each descriptor that it gives is closed."""

    def setUp(self) -> None:
        super().setUp()
        self.call = Openat2()
        self.folder = os.open(self.root, FOLDER)
        self.addCleanup(os.close, self.folder)
        if self.open("inner") is None:
            raise SkipTest("the kernel has no openat2")

    def open(self, relative: str) -> Path | None:
        """Where what was opened lies."""
        descriptor = self.call.folder(self.folder, relative)
        if descriptor is None:
            return None
        try:
            self.assertFalse(os.get_inheritable(descriptor))
            return Path(f"/proc/self/fd/{descriptor}").readlink()
        finally:
            os.close(descriptor)

    def test_folders(self) -> None:
        self.assertEqual(self.open("inner/deep"), self.root / "inner" / "deep")
        name = os.fsdecode(b"\xff")
        (self.root / name).mkdir()
        self.assertEqual(self.open(name), self.root / name)

    def test_never_a_link_nor_out(self) -> None:
        (self.root / "inner" / "back").symlink_to("deep")
        links = ("here", "here/deep", "out", "up", "up/root", "other", "absolute", "inner/back", "dangling")
        outside = ("..", "../second", "inner/../..", str(self.root / "inner"), "/")
        for path in (*links, *outside, "file", "none", "x" * 300):
            self.assertIsNone(self.open(path), path)
        self.assertTrue(self.call.usable)

    def test_deleting_needs_one_call_a_folder(self) -> None:
        opened: list[object] = []
        system_open = os.open

        def counting(path: str, *args: Any, **options: Any) -> int:
            opened.append(path)
            return system_open(path, *args, **options)

        (self.root / "inner" / "deep" / "f").write_bytes(b"x")
        self.patch(os, "open", counting)
        self.roots.delete_files(str(self.root), ["inner/deep/f"], ())
        self.assertEqual(opened, [str(self.root)])

    def test_magic_link(self) -> None:
        own = os.open("/proc/self", os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, own)
        self.assertIsNone(self.call.folder(own, "cwd"))

    def test_missing_or_filtered(self) -> None:
        """Tried once, then never again."""
        for error in (errno.ENOSYS, errno.EPERM):
            kernel = self.answers(error, 7)
            self.assertIsNone(self.call.folder(self.folder, "inner"))
            self.assertIs(self.call.usable, False)
            self.assertIsNone(self.call.folder(self.folder, "inner"))
            self.assertEqual(kernel.calls, 1)

    def test_refused_once_it_was_there(self) -> None:
        kernel = self.answers(7, errno.EPERM, 8)
        self.assertEqual(self.call.folder(self.folder, "inner"), 7)
        self.assertIsNone(self.call.folder(self.folder, "inner"))
        self.assertEqual(self.call.folder(self.folder, "inner"), 8)
        self.assertEqual(kernel.calls, 3)

    def test_renamed_meanwhile(self) -> None:
        kernel = self.answers(errno.EAGAIN, errno.EAGAIN, 7)
        self.assertEqual(self.call.folder(self.folder, "inner"), 7)
        self.assertEqual(kernel.calls, 3)
        kernel = self.answers(*[errno.EAGAIN] * 100)
        self.assertIsNone(self.call.folder(self.folder, "inner"))
        self.assertLess(kernel.calls, 100)

    def answers(self, *answers: int) -> "Kernel":
        """A new call, to a kernel that gives these answers: errors, or 7 and 8 as descriptors."""
        kernel = Kernel(answers)
        self.call = Openat2()
        self.patch(self.call, "_syscall", kernel)
        return kernel


class Kernel:
    """
    Stands in for ``syscall``.

    :ivar calls: how often it was called.
    """

    def __init__(self, answers: Sequence[int]) -> None:
        self._answers = answers
        self.calls = 0

    def __call__(self, *args: object) -> int:
        answer = self._answers[self.calls]
        self.calls += 1
        if answer in (7, 8):
            return answer
        ctypes.set_errno(answer)
        return -1
