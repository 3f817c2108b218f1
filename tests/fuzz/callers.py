"""Who asks: a stranger, or a client with a token of one scope."""

from dataclasses import dataclass

from resttorrent.access.principals import PUBLIC, SCOPES, including


@dataclass(frozen=True)
class Caller:
    """
    :ivar scope: of its token; empty for a stranger.
    :ivar token: its text; no other caller's bytes have it in them.
    :ivar may: the scopes of the commands that it may use.
    """

    scope: str
    token: str
    may: frozenset[str]

    @property
    def bearer(self) -> bytes:
        """The header line that says who it is."""
        return b"Authorization: Bearer %b\r\n" % self.token.encode() if self.token else b""

    @property
    def query(self) -> bytes:
        """The same in the handshake of an old client."""
        return b"&token=" + self.token.encode() if self.token else b""

    @property
    def connect(self) -> bytes:
        """A client's first packet, with its token."""
        return b'40{"token":"%b"}' % self.token.encode() if self.token else b"40"


STRANGER = Caller("", "", frozenset((PUBLIC,)))
KNOWN = tuple(Caller(one, one[0] * 43, frozenset((PUBLIC, *including((one,))))) for one in SCOPES)
CALLERS = (STRANGER, *KNOWN)
ADMIN = KNOWN[-1]
