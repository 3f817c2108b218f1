"""
The daemon's one counter of revisions.

A client may come back after a restart with a revision of the process before. No such number may be valid
again, even if the clock went backwards: the counter starts at max(time in µs, high-water mark + 1), and the
mark in the store is always ahead of all that was handed out. It is moved in large steps, so that counting
costs no write:

    revisions = Revisions(now_us, high_water)          # high_water: what the store has, 0 if nothing
    await store.set_setting(NAME, str(end := revisions.reserve()))
    revisions.reserved(end)                            # again whenever ``needs_reserve``
"""

# A number that JSON's readers hold exactly, RFC 8259 section 6.
LIMIT = 2**53
# 18 minutes of microseconds: each restart can cost at most that, so 6 million of them reach no limit.
RESERVE = 2**30


class Revisions:
    """
    Sans-I/O; strictly increasing integers below 2**53.

    :ivar first: revisions below it are of another process.
    :ivar current: the last one handed out.
    """

    __slots__ = ("_asked", "_end", "_refill_at", "_reserve", "current", "first")

    def __init__(self, now_us: int, high_water: int, *, reserve: int = RESERVE) -> None:
        """
        :param now_us: UNIX time in microseconds.
        :param high_water: the stored mark, 0 if there is none.
        :raises ValueError: the mark or the clock leaves no room below 2**53.
        """
        self.first = self.current = max(now_us, high_water + 1)
        if not 0 < self.first < LIMIT - reserve:
            raise ValueError(f"a revision can't start at {self.first}")
        self._reserve = reserve
        self._end = self._asked = high_water
        self._refill_at = self.first

    def resume_above(self, high_water: int) -> None:
        """
        Start beyond the stored mark, read after this counter was made and before anything was handed out.

        :raises ValueError: the mark leaves no room below 2**53.
        """
        if not max(self.first, high_water) < LIMIT - self._reserve:
            raise ValueError(f"a revision can't start at {high_water}")
        self.first = self.current = self._refill_at = max(self.current, high_water + 1)
        self._end = self._asked = high_water

    def next(self) -> int:
        """
        Hand out the next one.

        It never waits for the store: half a reserve (9 minutes at a million a second) is left when
        ``needs_reserve`` turns true. While nothing can be stored, only a clock set back could make a number
        valid twice.
        """
        self.current += 1
        return self.current

    @property
    def needs_reserve(self) -> bool:
        """Whether to ``reserve`` now: at the start, and when half of it is used and nothing is under way."""
        return self.current >= self._refill_at and self._asked <= self._end

    @property
    def high_water(self) -> int:
        """The mark that is known to be stored."""
        return self._end

    def reserve(self) -> int:
        """The mark to store now; then call ``reserved``, or ``reserve_failed``."""
        self._asked = self.current + self._reserve
        return self._asked

    def reserved(self, end: int) -> None:
        """The mark ``end`` is stored."""
        self._end = self._asked = end
        self._refill_at = end - self._reserve // 2

    def reserve_failed(self) -> None:
        """It could not be stored: ``needs_reserve`` is true again."""
        self._asked = self._end
