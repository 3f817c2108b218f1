"""What a mutation is: one defence taken out of one file, and the tests that must miss it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutation:
    """
    One defence, taken out.

    :ivar name: says which; :ivar file: below the package.
    :ivar old: the text of the defence, once in its file; :ivar new: what stands there without it.
    :ivar tests: names for trial, of which at least one must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def is_stale(self, root: Path = PROJECT) -> bool:
        """Whether the text is not there any more, or more than once, so that there is nothing to take out."""
        path = root / "resttorrent" / self.file
        return not path.is_file() or path.read_text().count(self.old) != 1

    def apply(self, root: Path) -> None:
        """Take the defence out of a copy."""
        path = root / "resttorrent" / self.file
        path.write_text(path.read_text().replace(self.old, self.new))


def taken_out(name: str, file: str, old: str, new: str, *tests: str) -> Mutation:
    """A mutation; ``tests.`` before a test's name is left out."""
    return Mutation(name, file, old, new, tuple(f"tests.{test}" for test in tests))


def doubled(mutations: Sequence[Mutation]) -> list[str]:
    """Names that more than one of them has."""
    return [name for name, count in Counter(one.name for one in mutations).items() if count > 1]
