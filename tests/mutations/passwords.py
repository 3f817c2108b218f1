"""Users and their passwords."""

from tests.mutations.mutation import taken_out

MUTATIONS = (
    # -- guessing
    taken_out(
        "passwords: nothing is hashed for who guessed too often", "access/policy.py",
        "        if isinstance(guess, int):\n"
        '            raise TooMany("there were too many wrong tokens or passwords", retry_after=guess)\n',
        "        if isinstance(guess, int):\n"
        "            from .guesses import Guess\n"
        "            guess = Guess(name, source, False)\n",
        "access.test_passwords.GuessingTests",
    ),
    taken_out(
        "passwords: wrong ones count with wrong tokens", "access/guesses.py",
        "        wait = self._attempts.wrong(address)\n", "        wait = 0\n",
        "access.test_passwords.GuessingTests",
    ),
    taken_out(
        "passwords: a name that many guess is guarded", "access/guesses.py",
        "        if guess.guarded:\n            wait = self._guarded.wrong(address)\n",
        "        if False:\n            wait = self._guarded.wrong(address)\n",
        "access.test_passwords.GuessingTests.test_botnet",
    ),
    taken_out(
        "passwords: guarded names are no lock", "access/guesses.py",
        "            wait = self._guarded.wrong(address)\n", '            wait = self._guarded.wrong("")\n',
        "access.test_passwords.GuessingTests.test_nobody_can_lock_a_user_out",
    ),
    taken_out(
        "passwords: where a user logged in before, it may slip", "access/guesses.py",
        "return (name, network_of(address)) in self._known", "return False",
        "access.test_passwords.GuessingTests.test_botnet",
    ),
    taken_out(
        "passwords: counted names are bounded", "access/guesses.py",
        "return int.from_bytes(digest) % SLOTS", "return int.from_bytes(digest)",
        "access.test_passwords.GuessesTests",
    ),
    taken_out(
        "passwords: known addresses are bounded", "access/guesses.py",
        "if len(self._known) > MOST_KNOWN:", "if False:",
        "access.test_passwords.GuessesTests",
    ),
    taken_out(
        "passwords: right ones are not counted", "access/guesses.py",
        "        self.drop(guess)\n        place", "        place",
        "access.test_passwords.GuessingTests",
    ),
    # -- hashing
    taken_out(
        "passwords: few are hashed at a time", "access/passwords.py",
        "        if self._asked >= AT_ONCE + MOST_WAITING:\n", "        if False:\n",
        "access.test_passwords.HashingTests.test_two_at_once_and_some_wait",
    ),
    taken_out(
        "passwords: never on the reactor", "access/passwords.py",
        "answer: Deferred[Any] = deferToThreadPool(self._reactor, self._pool, work, *arguments)",
        "from twisted.internet.defer import maybeDeferred\n"
        "        answer: Deferred[Any] = maybeDeferred(work, *arguments)",
        "access.test_passwords.HashingTests.test_never_on_the_reactor",
    ),
    taken_out(
        "passwords: argon2 is dear", "access/passwords.py",
        "MEMORY_KIB = 46 * 1024", "MEMORY_KIB = 1024",
        "access.test_passwords.HashingTests",
    ),
    taken_out(
        "passwords: an unknown user costs as much", "access/users.py",
        "            await self._hashes.verify(None, password)\n", "",
        "access.test_users.HashedTests",
    ),
    taken_out(
        "passwords: the decoy is one", "access/passwords.py",
        'head = f"$argon2id$v=19$m={argon2.memory_cost}', 'head = f"$argon2id$v=19$m=8',
        "access.test_passwords.HashingTests",
    ),
    taken_out(
        "passwords: hashed anew when the parameters change", "access/users.py",
        "await self._hashes.hash(password) if self._hashes.is_outdated(hash_) else hash_", "hash_",
        "access.test_users.HashedTests",
    ),
    taken_out(
        "passwords: not short", "access/passwords.py",
        "    if len(password) < SHORTEST:\n", "    if False:\n",
        "access.test_users.CommandTests", "access.test_passwords.CanonicalTests",
    ),
    taken_out(
        "passwords: not long", "access/passwords.py",
        "    if len(password.encode()) > LONGEST:\n", "    if False:\n",
        "access.test_users.CommandTests", "access.test_passwords.CanonicalTests",
    ),
    taken_out(
        "passwords: no hash in a traceback", "store/records.py",
        '        return f"UserRecord({self.id!r}, {self.name!r})"\n', "        return self.hash\n",
        "access.test_users.UsersTests",
    ),
    # -- what a login outlives
    taken_out(
        "users: a change ends logins", "access/users.py",
        "        for watcher in self._watchers:\n", "        for watcher in ():\n",
        "access.test_users.ChangedTests",
    ),
    taken_out(
        "users: a change makes a new grant", "access/users.py",
        "        self.grant = secrets.token_hex(8)\n", '        self.grant = "grant " + record.id\n',
        "access.test_users.ChangedTests",
    ),
    taken_out(
        "users: a login is looked at each time", "access/policy.py",
        "            self.users.check(principal)\n", "            pass\n",
        "access.test_users.ChangedTests",
    ),
    taken_out(
        "users: changed while a password is looked at", "access/users.py",
        "return user.principal if self._by_grant.get(grant) is user else None", "return user.principal",
        "access.test_users.ChangedTests.test_while_a_password_is_looked_at",
    ),
    taken_out(
        "users: connections end as well", "service.py",
        "        self.policy.watch(self.live.put_out)\n", "        self.tokens.watch(self.live.put_out)\n",
        "access.test_login_daemon.PasswordTests",
    ),
    taken_out(
        "users: one's own password needs the old one", "commands/logins.py",
        "    await policy.check_password(user.record.name, current, principal.source)\n", "",
        "access.test_users.CommandTests.test_own_password",
    ),
)  # fmt: skip
