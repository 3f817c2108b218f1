"""
trial, with a closing line that any CI can read: ``N passed, N failed, N skipped``.

Takes trial's own arguments: ``python -m tests.run -j 2 tests``.
"""

import sys
from typing import Any

from twisted.scripts import trial


def main() -> int:
    """Run the tests; return the exit code."""
    config = trial.Options()
    config.parseOptions(sys.argv[1:])
    trial._initialDebugSetup(config)
    result: Any = trial._makeRunner(config).run(trial._getSuite(config))
    passed = result.successes + len(result.expectedFailures)
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    sys.stdout.write(f"{passed} passed, {failed} failed, {len(result.skips)} skipped\n")
    return 0 if result.wasSuccessful() and passed else 1


if __name__ == "__main__":
    sys.exit(main())
