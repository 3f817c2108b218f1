"""Users: made, changed, deleted, and what becomes of their logins."""

from types import SimpleNamespace
from typing import Any

import hypothesis
import msgspec
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.access import users as module
from resttorrent.access.principals import OWNER, Principal, stranger_at
from resttorrent.access.users import Users, canonical_name, chosen_name
from resttorrent.commands import logins as login_commands
from resttorrent.commands import users as commands
from resttorrent.errors import (
    BadParameter,
    CommandError,
    Loading,
    NotAllowed,
    NotFound,
    ParameterConflict,
    StateDiskFull,
    TokenNeeded,
    TooMany,
    UserExists,
    WrongPassword,
)

from .support import NOW, PASSWORD, World, facts, run

NETWORK = "192.0.2.7"
OTHER = "another long password"


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.users, self.store, self.hashes = self.world.users, self.world.store, self.world.hashes
        self.policy = self.world.policy
        self.ended: list[str] = []
        self.users.watch(self.ended.append)

    def log_in(self, name: str = "ann", password: str = PASSWORD) -> Principal:
        """Who a browser is that logged in."""
        secret, login = run(self.policy.log_in_as(name, password, NETWORK))
        self.cookie = f"resttorrent_login={secret}"
        self.csrf = login.csrf
        principal: Principal = login.principal
        return principal

    def judge(self) -> Principal:
        return self.policy.judge(facts(NETWORK, cookie=self.cookie))

    def find(self, name: str = "ann", password: str = PASSWORD) -> Principal | None:
        found: Principal | None = run(self.users.find(name, password))
        return found

    def ask(self, command: Any, principal: Principal = OWNER, **parameters: object) -> Any:
        """What a command answers."""
        ctx = SimpleNamespace(policy=self.policy, principal=principal)
        return run(command.run(ctx, parameters.items()))

    def refused(
        self, kind: type[CommandError], command: Any, principal: Principal = OWNER, **parameters: object
    ) -> str | None:
        """The field that is to blame."""
        error: CommandError = self.assertRaises(kind, self.ask, command, principal, **parameters)
        return error.field


class UsersTests(Case):
    def test_only_the_hash_is_kept(self) -> None:
        self.world.user("ann", "control")
        (record,) = self.store.user_records.values()
        self.assertEqual(record.hash, f"v1:{PASSWORD}")
        self.assertEqual((record.name, record.scopes), ("ann", ("read", "control")))
        self.assertEqual((record.created_time, record.last_login), (NOW, None))
        self.assertNotIn(record.hash, repr(record))

    def test_restart(self) -> None:
        self.world.user("ann", "admin")
        again = Users(self.store, self.hashes, lambda: self.world.wall)  # type: ignore[arg-type]
        self.assertRaises(Loading, run, again.find("ann", PASSWORD))
        run(again.load())
        found: Any = run(again.find("ann", PASSWORD))
        self.assertEqual((found.name, found.is_user), ("ann", True))
        found.require("admin")

    def test_taken(self) -> None:
        self.world.user()
        hashed = len(self.hashes.work)
        self.assertRaises(UserExists, self.world.user)
        self.assertEqual((len(self.hashes.work), len(list(self.users))), (hashed, 1))

    def test_bound(self) -> None:
        self.patch(module, "MOST_USERS", 2)
        self.world.user("a")
        self.world.user("b")
        self.assertRaises(TooMany, self.world.user, "c")

    def test_what_was_not_stored_was_not_done(self) -> None:
        user = self.world.user()
        principal = self.log_in()
        self.store.error = StateDiskFull("full")
        for change in (
            self.users.create("bob", PASSWORD, ("read",)),
            self.users.update(user, OTHER, ("admin",)),
            self.users.delete(user),
        ):
            self.assertRaises(StateDiskFull, run, change)
        self.assertEqual(([u.record.name for u in self.users], self.ended), (["ann"], []))
        self.users.check(principal)
        # nor does a full disk keep anybody out
        self.assertIsNotNone(self.find())

    def test_last_login(self) -> None:
        user = self.world.user()
        self.world.wall += 5
        self.assertIsNone(self.find(password="wrong"))
        self.assertIsNone(user.record.last_login)
        self.assertIsNotNone(self.find())
        self.assertEqual(user.record.last_login, NOW + 5)
        self.assertEqual(self.store.user_records[user.record.id].last_login, NOW + 5)


class HashedTests(Case):
    """What it costs, and that nothing can be told from it."""

    def test_unknown_users_cost_the_same(self) -> None:
        self.world.user()
        self.hashes.work.clear()
        self.assertIsNone(self.find("ann", "wrong"))
        self.assertIsNone(self.find("bob", "wrong"))
        self.assertEqual(self.hashes.work, [("verify", f"v1:{PASSWORD}"), ("verify", None)])

    def test_they_get_the_same_answer(self) -> None:
        self.world.user()
        errors = []
        for name in ("ann", "bob"):
            error = self.assertRaises(WrongPassword, run, self.policy.log_in_as(name, "wrong", NETWORK))
            errors.append((error.message, error.code, error.http_status, error.field))
        self.assertEqual(errors[0], errors[1])
        self.assertEqual(errors[0][1:], ("wrong_password", 401, None))

    def test_hashed_anew_when_the_parameters_change(self) -> None:
        user = self.world.user()
        principal = self.log_in()
        self.hashes.version = 2
        self.assertIsNone(self.find(password="wrong"))
        self.assertEqual(user.record.hash, f"v1:{PASSWORD}")
        self.assertIsNotNone(self.find())
        self.assertEqual(user.record.hash, f"v2:{PASSWORD}")
        self.assertEqual(self.store.user_records[user.record.id].hash, f"v2:{PASSWORD}")
        # nobody is put out by it
        self.users.check(principal)
        self.assertEqual(self.ended, [])

    def test_no_room_to_hash_anew(self) -> None:
        user = self.world.user()
        self.hashes.version = 2
        self.patch(self.hashes, "hash", self.refuse)
        self.assertIsNotNone(self.find())
        self.assertEqual(user.record.hash, f"v1:{PASSWORD}")

    async def refuse(self, password: str) -> str:
        raise TooMany("busy")


class ChangedTests(Case):
    """A login by what a user was before ends at once."""

    def assertEnded(self, principal: Principal) -> None:
        self.assertEqual(self.ended, [principal.grant])
        self.assertRaises(TokenNeeded, self.policy.check, principal)
        self.assertTrue(self.judge().is_stranger)

    def test_password(self) -> None:
        user = self.world.user()
        principal = self.log_in()
        self.assertEqual(self.judge().name, "ann")
        run(self.users.update(user, OTHER, None))
        self.assertEnded(principal)
        self.assertIsNone(self.find())
        self.assertIsNotNone(self.find(password=OTHER))
        self.assertEqual(self.store.user_records[user.record.id].hash, f"v1:{OTHER}")

    def test_scopes(self) -> None:
        user = self.world.user("ann", "admin")
        principal = self.log_in()
        run(self.users.update(user, None, ("control",)))
        self.assertEnded(principal)
        now = self.log_in()
        now.require("control")
        error = self.assertRaises(NotAllowed, now.require, "admin")
        self.assertIn("the user 'ann'", error.message)

    def test_deleted(self) -> None:
        user = self.world.user()
        principal = self.log_in()
        run(self.users.delete(user))
        self.assertEnded(principal)
        self.assertIsNone(self.find())
        self.assertEqual((list(self.users), self.store.user_records), ([], {}))
        self.assertRaises(NotFound, run, self.users.delete(user))
        self.assertRaises(NotFound, run, self.users.update(user, None, ("read",)))
        # one of the same name is another
        self.world.user()
        self.assertRaises(TokenNeeded, self.policy.check, principal)

    def test_each_change_is_told(self) -> None:
        user = self.world.user()
        for _ in range(3):
            run(self.users.update(user, None, ("read",)))
        self.assertEqual(len(set(self.ended)), 3)

    def test_others_stay(self) -> None:
        self.world.user("bob")
        user = self.world.user()
        bob, token = self.log_in("bob"), self.policy.check_token(self.world.token(), NETWORK)
        run(self.users.delete(user))
        self.policy.check(bob)
        self.policy.check(token)

    def test_while_a_password_is_looked_at(self) -> None:
        """It was right when it came, and is not any more."""
        user = self.world.user()
        for change, password in (
            (lambda: self.users.update(user, OTHER, None), PASSWORD),
            (lambda: self.users.delete(user), OTHER),
        ):
            self.hashes.slow = True
            found = Deferred.fromCoroutine(self.users.find("ann", password))
            waiting, self.hashes.waiting, self.hashes.slow = self.hashes.waiting, [], False
            run(change())
            waiting.pop().callback(None)
            self.assertIsNone(self.successResultOf(found))

    def test_two_at_a_time(self) -> None:
        user = self.world.user()
        self.hashes.slow = True
        hashing = Deferred.fromCoroutine(self.users.update(user, OTHER, None))
        run(self.users.update(user, None, ("admin",)))
        self.hashes.go_on()
        self.successResultOf(hashing)
        record = self.store.user_records[user.record.id]
        self.assertEqual((record.hash, record.scopes), (f"v1:{OTHER}", ("read", "control", "admin")))
        self.assertEqual(user.record, record)


class CookieTests(Case):
    """A user's cookie is what a token's is."""

    def test_csrf(self) -> None:
        self.world.user("ann", "control")
        self.log_in()
        change = facts(NETWORK, method=b"POST", cookie=self.cookie)
        self.assertRaises(NotAllowed, self.policy.judge, change)
        right = facts(NETWORK, method=b"POST", cookie=self.cookie, x_csrf_token=self.csrf)
        self.policy.judge(right).require("control")

    def test_logout(self) -> None:
        self.world.user()
        self.log_in()
        self.policy.logins.close(self.judge())
        self.assertTrue(self.judge().is_stranger)

    def test_two_browsers(self) -> None:
        self.world.user()
        self.log_in()
        first = self.cookie
        self.log_in()
        self.policy.logins.close(self.judge())
        self.cookie = first
        self.assertEqual(self.judge().name, "ann")


class CommandTests(Case):
    def test_create(self) -> None:
        answer = self.ask(commands.create_user, name=" ÅNN ", password=PASSWORD, scopes="control")
        self.assertEqual((answer.user.name, answer.user.scopes), ("ånn", ("read", "control")))
        self.assertEqual(self.ask(commands.create_user, name="bob", password=PASSWORD).user.scopes, ("read",))
        listed = self.ask(commands.get_user_list)
        self.assertEqual([user.name for user in listed.users], ["ånn", "bob"])
        text = msgspec.json.encode(listed).decode()
        self.assertNotIn(PASSWORD, text)
        self.assertNotIn("hash", text)
        field = self.refused(UserExists, commands.create_user, name="ÅNN", password=PASSWORD)
        self.assertEqual(field, "name")

    def test_bad_ones(self) -> None:
        good = {"name": "ann", "password": PASSWORD}
        cases: tuple[dict[str, object], ...] = (
            {"name": ""},
            {"name": " "},
            {"name": ".."},
            {"name": "a/b"},
            {"name": "-x"},
            {"name": "a\x1b[2J"},
            {"name": "a\u202eb"},
            {"name": "x" * 65},
            {"name": "\ufdfa" * 30},
            {"password": "123456789"},
            {"password": "e\u0301" * 9},
            {"password": "x" * 1025},
            {"password": "é" * 513},
            {"password": "0123456\x7f89"},
            {"password": "0123456789\u0378"},
            {"password": 1234567890},
            {"scopes": "write"},
        )
        for wrong in cases:
            (field,) = wrong
            given = {**good, **wrong}
            self.assertEqual(self.refused(BadParameter, commands.create_user, OWNER, **given), field)
        self.assertEqual((list(self.users), self.hashes.work), ([], []))

    def test_update(self) -> None:
        self.world.user("ånn")
        answer = self.ask(commands.update_user, name="A\u030aNN", scopes="admin")
        self.assertEqual(answer.user.scopes, ("read", "control", "admin"))
        self.ask(commands.update_user, name="ånn", password=OTHER)
        self.assertIsNotNone(self.find("ånn", OTHER))
        self.assertEqual(self.refused(BadParameter, commands.update_user, name="ånn"), "password")
        self.assertEqual(self.refused(NotFound, commands.update_user, name="bob", scopes="read"), "name")

    def test_delete(self) -> None:
        self.world.user()
        self.ask(commands.delete_user, name="Ann")
        self.assertEqual(self.refused(NotFound, commands.delete_user, name="ann"), "name")

    def test_login(self) -> None:
        self.world.user("ann", "control")
        stranger = stranger_at(NETWORK)
        result = self.ask(login_commands.login, stranger, name="ANN", password=PASSWORD)
        self.assertEqual((result.answer.name, result.answer.scopes), ("ann", ("read", "control")))
        self.assertEqual([cookie.hidden for cookie in result.cookies], [True, False])
        self.assertEqual(result.cookies[1].value, result.answer.csrf_token)
        by_token = self.ask(login_commands.login, stranger, token=self.world.token())
        self.assertEqual(type(by_token.answer), type(result.answer))

    def test_login_by_nothing_half_and_both(self) -> None:
        token, login = self.world.token(), login_commands.login
        cases: tuple[tuple[type[CommandError], str, dict[str, str]], ...] = (
            (BadParameter, "token", {}),
            (BadParameter, "password", {"name": "ann"}),
            (BadParameter, "name", {"password": PASSWORD}),
            (ParameterConflict, "token", {"token": token, "name": "ann"}),
            (ParameterConflict, "token", {"token": token, "password": PASSWORD}),
            (ParameterConflict, "token", {"token": token, "name": "ann", "password": PASSWORD}),
        )
        for kind, field, parameters in cases:
            self.assertEqual(self.refused(kind, login, stranger_at(NETWORK), **parameters), field)
        self.assertEqual(self.hashes.work, [])

    def test_one_letter_many_ways(self) -> None:
        """However a keyboard composes it: the password is the same, but for its case and width."""
        self.world.user("ann")
        self.ask(commands.update_user, name="ann", password="pässword\u00a0one")
        for same in ("pässword one", "pa\u0308ssword one", "pa\u0308ssword\u2003one"):
            self.ask(login_commands.login, name="\uff21nn", password=same)
        for other in ("Pässword one", "passwórd one", "\uff50ässword one", "pässword one "):
            self.refused(WrongPassword, login_commands.login, name="ann", password=other)

    def test_own_password(self) -> None:
        self.world.user()
        principal = self.log_in()
        command = login_commands.change_password
        wrong = {"current": OTHER, "password": OTHER}
        self.refused(WrongPassword, command, principal, **wrong)
        self.users.check(principal)
        result = self.ask(command, principal, current=PASSWORD, password=OTHER)
        self.assertRaises(TokenNeeded, self.users.check, principal)
        self.assertTrue(self.judge().is_stranger)
        self.cookie = f"resttorrent_login={result.cookies[0].value}"
        self.assertEqual(self.judge().name, "ann")
        token = self.policy.check_token(self.world.token("admin"), NETWORK)
        for other in (OWNER, token):
            self.refused(NotAllowed, command, other, current=OTHER, password=PASSWORD)


class NameTests(SynchronousTestCase):
    @hypothesis.given(st.text(max_size=80))
    def test_canonical(self, text: str) -> None:
        """What is listed finds what it names."""
        name = canonical_name(text)
        self.assertEqual(canonical_name(name), name)

    @hypothesis.given(st.text(max_size=80))
    def test_chosen(self, text: str) -> None:
        try:
            name = chosen_name(text)
        except ValueError:
            return
        self.assertEqual(chosen_name(name), name)
        self.assertTrue(name.isprintable() and 0 < len(name) <= 64 and name.strip(".") and "/" not in name)
