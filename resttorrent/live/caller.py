"""
One socket's subscriptions: what is due goes out while the client takes it.

A subscription is a feed and an id. A client that does not keep up costs its feeds' numbers: nothing is taken
from a feed before it can be sent, and what was not taken is merged into the next push.
"""

from twisted.logger import Logger

from ..access.principals import Principal
from ..access.quotas import Quota
from ..commands.envelope import TransactionId, with_id
from ..engine.feeds import Feed, Part
from ..errors import CommandError, NotFound, TooMany
from ..socketio import Outgoing, Socket, prepare

MOST_SUBSCRIPTIONS = 100


class Subscription:
    """
    A feed that a client watches.

    :ivar id: names it within its socket. It is the same on every socket that asks for the same things in the
        same order, so that they share what is sent.
    """

    __slots__ = ("_caller", "feed", "id", "key")

    def __init__(self, caller: "Caller", id: str, feed: Feed) -> None:
        self._caller = caller
        self.id = id
        self.feed = feed
        self.key = ("socketio", feed.event, id)

    def wake(self) -> None:
        """The feed may have something."""
        self._caller.push(self)

    def prepare(self, members: bytes) -> Outgoing:
        """A push as a packet, made once for all who get it."""
        return prepare(self.feed.event, b'{"subscription":"%b",%b}' % (self.id.encode(), members))


class Caller:
    """
    A client, with what it has subscribed to; ``commands.context.Subscriptions`` to the commands.

    :param principal: who it is; :param quota: what that one may have by all its connections.
    """

    _log = Logger()

    def __init__(self, socket: Socket, principal: Principal, quota: Quota) -> None:
        self._socket = socket
        self._principal, self._quota = principal, quota
        self._subscriptions: dict[str, Subscription] = {}
        self._due: dict[Subscription, None] = {}
        self._last_id = 0

    # -- beginning and ending --------------------------------------------

    def open(self, feed: Feed, t_id: TransactionId) -> tuple[Subscription, bytes]:
        """
        Take a feed on, or stop it; ``begin`` follows when its answer was sent.

        :return: the subscription, and the answer: ``{subscription, status, rev, …}``.
        :raises TooMany: if the socket has as many as one may have, or who it is has.
        """
        try:
            if len(self._subscriptions) >= MOST_SUBSCRIPTIONS:
                raise TooMany(f"a socket has at most {MOST_SUBSCRIPTIONS} subscriptions")
            self._quota.check(self._principal)
            opening = feed.opening()
        except Exception:
            feed.stop()
            raise
        self._last_id += 1
        subscription = Subscription(self, str(self._last_id), feed)
        self._subscriptions[subscription.id] = subscription
        self._quota.enter(self._principal)
        body = b'{"subscription":"%d",%b}' % (self._last_id, opening.members)
        return subscription, with_id(body, t_id)

    def begin(self, subscription: Subscription) -> None:
        """Push from now on."""
        if subscription.id in self._subscriptions:
            subscription.feed.start(subscription.wake)

    def end(self, subscription: str) -> None:
        """
        Push no more.

        :raises NotFound: if there is no such subscription.
        """
        found = self._subscriptions.get(subscription)
        if found is None:
            raise NotFound("this connection has no such subscription", field="subscription")
        self._drop(found)

    def close(self) -> None:
        """The socket is gone."""
        for subscription in tuple(self._subscriptions.values()):
            self._drop(subscription)

    def _drop(self, subscription: Subscription) -> None:
        if self._subscriptions.pop(subscription.id, None) is not None:
            self._quota.leave(self._principal)
        self._due.pop(subscription, None)
        subscription.feed.stop()

    # -- pushing ---------------------------------------------------------

    def push(self, subscription: Subscription) -> None:
        """Send what this one has, now or when the client takes it."""
        self._due[subscription] = None
        self.pump()

    def pump(self) -> None:
        """Send what is due, while the client takes it."""
        while self._due and self._socket.writable:
            # those of different topics take turns
            subscription = next(iter(self._due))
            del self._due[subscription]
            part = self._take(subscription)
            if part is None:
                continue
            self._socket.send(part.form(subscription.key, subscription.prepare))
            if part.closes:
                self._drop(subscription)

    def _take(self, subscription: Subscription) -> Part | None:
        """The next push; one that can't be made is the last, and those of other feeds go out."""
        try:
            return subscription.feed.take()
        except Exception:
            self._log.failure("a subscription failed")
            return Part(b'"closed":true,"code":"%b"' % CommandError.code.encode(), 0, closes=True)
