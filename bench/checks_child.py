"""
The daemon in a process of its own, with or without its checks: one line of JSON in, one out, then it serves.

Without them nothing is asked of Host, Origin, token or peer, and everybody is the owner. Nothing of the kind
is in the daemon: it is done here, to its classes, before its parts are wired.
"""

import json
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed
from twisted.python.failure import Failure

from resttorrent.access import requests
from resttorrent.access.policy import Policy
from resttorrent.access.principals import OWNER
from resttorrent.access.tokens import Tokens
from resttorrent.options import resolve
from resttorrent.rest.screen import Screen

_NO_FACTS = requests.Facts(b"GET", "", False, False, {})


def _drop_checks() -> None:
    classes: Any = (Screen, Policy, Tokens)
    screen, policy, tokens = classes
    screen.refusal = lambda self, method, headers, channel: None
    screen.preflight = lambda self, request: None
    screen.share = lambda self, asked, answer: None
    policy.judge = lambda self, facts: OWNER
    tokens.check = lambda self, principal: None
    # whoever imports it from now on has this one
    module: Any = requests
    module.facts_of = lambda request: _NO_FACTS


def main() -> None:
    """Serve until the end."""
    wanted = json.loads(sys.stdin.readline())
    home, reactor = Path(wanted["home"]), installed
    if not wanted["checks"]:
        _drop_checks()
    from resttorrent.service import make_service

    (home / "root").mkdir(parents=True)
    given = {"port": "0", "state-dir": str(home / "state"), "root": str(home / "root"), "discovery": "off"}
    settings = resolve({name: [text] for name, text in given.items()} | {"peer-interface": ["127.0.0.1"]}, {})
    service = make_service(settings, reactor)
    service.privilegedStartService()
    service.startService()

    def ready(_: object) -> None:
        announced = json.loads((home / "state" / "listening.json").read_text())
        token = (home / "state" / "token").read_text().strip()
        print(json.dumps({"port": announced["addresses"][0]["port"], "token": token}), flush=True)

    def failed(failure: Failure) -> None:
        sys.stderr.write(failure.getTraceback())
        reactor.stop()

    service.when_ready().addCallbacks(ready, failed)
    reactor.run()


if __name__ == "__main__":
    main()
