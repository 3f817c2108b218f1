"""``python -m tests.fuzz --count 200000 [--seed N]``: mutants; exits with 1 at a fault."""

import argparse
import random
import sys
import time

from tests.fuzz.fuzzing import Fuzz, Wrong


def main() -> int:
    """Run; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    given = parser.parse_args()
    sys.stdout.write(f"{given.count} cases, seed {given.seed}\n")
    fuzz, began = Fuzz(given.seed), time.monotonic()
    try:
        fuzz.run(given.count)
    except Wrong as wrong:
        sys.stdout.write(f"WRONG: {wrong}\n")
        return 1
    counts = ", ".join(f"{status}: {number}" for status, number in sorted(fuzz.seen.items()))
    sys.stdout.write(f"all well in {time.monotonic() - began:.0f} s; answers by status: {counts}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
