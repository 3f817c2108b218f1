"""
``python -m tests.fuzz --count 200000 [--seed N] [--real N]``: mutants; exits with 1 at a fault.

Those of ``--real`` go to a whole daemon, in a network namespace with nothing but loopback (needs root).
"""

import argparse
import os
import random
import socket
import sys
import time
from collections import Counter

from tests.fuzz.fuzzing import Fuzz
from tests.fuzz.oracle import Wrong
from tests.fuzz.real import fuzz_real
from tests.mutations.mutation import PROJECT
from tests.mutations.trying import isolation


def report(seen: "Counter[tuple[str, str, str]]") -> str:
    """A line for each door and caller: how many of its answers were what."""
    lines = []
    for door, caller in sorted({key[:2] for key in seen}):
        outcomes = sorted((key[2], number) for key, number in seen.items() if key[:2] == (door, caller))
        lines.append(f"{door}, {caller}: " + ", ".join(f"{name} {number}" for name, number in outcomes))
    return "\n".join(lines)


def alone() -> bool:
    """Whether there is no network but loopback."""
    return [name for _, name in socket.if_nameindex()] == ["lo"]


def main() -> int:
    """Run; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--real", type=int, default=0, metavar="N")
    given = parser.parse_args()
    if given.real and not alone():
        prefix = isolation(PROJECT)
        if not prefix:
            sys.stdout.write("--real needs root and unshare: it is not run where its packets could leave\n")
            return 2
        command = [*prefix, sys.executable, "-m", "tests.fuzz", *sys.argv[1:], "--seed", str(given.seed)]
        os.execvp(command[0], command)
    sys.stdout.write(f"{given.count} cases and {given.real} at a whole daemon, seed {given.seed}\n")
    fuzz, began = Fuzz(given.seed), time.monotonic()
    try:
        fuzz.run(given.count)
        if given.real:
            fuzz.seen += fuzz_real(given.seed, given.real).seen
    except Wrong as wrong:
        sys.stdout.write(f"WRONG: {wrong}\n")
        return 1
    sys.stdout.write(f"{report(fuzz.seen)}\nall well in {time.monotonic() - began:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
