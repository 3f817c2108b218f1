"""
Which web seeds a torrent may bring.

A web seed is an address that a stranger chose and that the daemon fetches from, again and again. Where it
names an address that is not of the public internet, or this machine by name, it is left out: the house's
router and printer are no seeds. What a name stands for is not looked up here; libtorrent's own
``ssrf_mitigation`` keeps such a request from having a query string, and the public internet from redirecting
into the house.

Source: BEP 19.
"""

from collections.abc import Iterable, Sequence

from ..fetch.addresses import Network, is_admitted
from ..fetch.targets import parse_target


class WebSeeds:
    """
    The policy of one daemon.

    :param allow: networks whose addresses are admitted although they are not public.
    """

    def __init__(self, allow: Sequence[Network] = ()) -> None:
        self._allow = allow

    def admit(self, allow: Sequence[Network]) -> None:
        """From now on these networks."""
        self._allow = allow

    def wanted(self, addresses: Iterable[str]) -> list[str]:
        """Those that may be used, in the same order."""
        return [address for address in addresses if self._is_wanted(address)]

    def _is_wanted(self, address: str) -> bool:
        try:
            target = parse_target(address)
        except ValueError:
            # read in two ways, it might pass here and lead elsewhere
            return False
        if target.literal is None:
            return target.host != "localhost" and not target.host.endswith(".localhost")
        return is_admitted(target.literal, self._allow)
