"""``python -m tests.mutations [name …]``: take each defence out of a copy; does a test miss it?"""

import argparse
import sys
from collections import Counter

from tests.mutations.defences import MUTATIONS
from tests.mutations.trying import Outcome, copied


def line_of(outcome: Outcome) -> str:
    """One row of the table."""
    return f"{outcome.verdict:8} {outcome.seconds:5.1f} s  {outcome.mutation.name:50} {outcome.by}\n"


def main() -> int:
    """Run; return the exit code: 1 if a defence was not missed, or could not be taken out."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help="parts of names; all of them by default")
    parser.add_argument("--list", action="store_true", help="name them and do nothing")
    given = parser.parse_args()
    wanted = [m for m in MUTATIONS if not given.names or any(name in m.name for name in given.names)]
    if given.list or not wanted:
        sys.stdout.write("".join(f"{one.name}: {', '.join(one.tests)}\n" for one in wanted))
        return 0 if wanted else 1
    outcomes = []
    with copied() as copy:
        sys.stdout.write(
            f"{len(wanted)} mutations, {'loopback alone' if copy.isolated else 'NOT isolated'}\n"
        )
        for mutation in wanted:
            outcomes.append(copy.trial(mutation))
            sys.stdout.write(line_of(outcomes[-1]))
            sys.stdout.flush()
    counts = Counter(outcome.verdict for outcome in outcomes)
    sys.stdout.write(", ".join(f"{number} {verdict}" for verdict, number in counts.items()) + "\n")
    sys.stdout.write("".join(line_of(outcome) for outcome in outcomes if not outcome.is_well))
    return 0 if all(outcome.is_well for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
