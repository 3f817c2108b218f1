"""What fails below the daemon: the rows of docs/faults.rst, and the state's own privacy."""

from tests.mutations.mutation import taken_out

MUTATIONS = (
    taken_out(
        "the state's disk is full: said so", "store/trouble.py",
        "    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE):\n", "    if False:\n",
        "store.test_database.FullDiskTests", "faults.test_disks.StateDiskTests.test_full",
    ),
    taken_out(
        "the state's disk is full: tried again", "store/database.py",
        "            self._trouble = self._retry_at = None\n", "            self._retry_at = None\n",
        "store.test_database.FullDiskTests",
    ),
    taken_out(
        "the state's disk fails: distrusted", "store/database.py",
        "        if trouble is Trouble.DISK_ERROR:\n            self._distrust(error)\n", "",
        "store.test_distrust.DistrustTests",
    ),
    taken_out(
        "the state's disk fails: checked before it is used again", "store/opening.py",
        '        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":\n',
        "        if False:\n",
        "store.test_distrust.ReopenTests",
    ),
    taken_out(
        "what was answered is flushed", "store/flush.py",
        "FLUSH_AFTER = 0.5", "FLUSH_AFTER = 1e9",
        "store.test_flush", "store.test_database.UpkeepTests",
    ),
    taken_out(
        "a damaged database is set aside", "store/opening.py",
        "        set_aside = _set_aside(path, now)\n", "        path.unlink()\n",
        "store.test_opening.DamagedTests",
    ),
    taken_out(
        "another program's database is left alone", "store/opening.py",
        '    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:\n',
        "    if False:\n",
        "store.test_opening.DamagedTests",
    ),
    taken_out(
        "a database from the future is refused", "store/opening.py",
        "    if found > known:\n", "    if False:\n",
        "store.test_opening.MigrationTests",
    ),
    taken_out(
        "resume data", "engine/loading.py",
        "    if blobs.resume is not None:\n", "    if False:\n",
        "engine.test_restoring.LoadingTests",
    ),
    taken_out(
        "a payload disk is full or read-only", "engine/upkeep.py",
        "            torrent.unwritable = reason\n", "            pass\n",
        "faults.test_disks.PayloadDiskTests",
    ),
    taken_out(
        "a save root that is another one", "paths/presence.py",
        "    if id is not None and marked == id:\n", "    if id is not None:\n",
        "test_presence.LookTests",
    ),
    taken_out(
        "a save root that was used is not made anew", "paths/presence.py",
        "        if make and id is None:\n", "        if make:\n",
        "test_presence.LookTests",
    ),
    taken_out(
        "torrents of a missing root are held", "engine/absence.py",
        "        torrent.hold()\n", "",
        "faults.test_roots.AwayTests.test_torrents_wait_and_come_back",
    ),
    taken_out(
        "torrents of a missing root are not loaded", "engine/restoring.py",
        "        self._shared.roots.require(torrent.save_path)\n        recheck",
        "        recheck",
        "faults.test_roots.AwayTests.test_missing_at_the_start",
    ),
    taken_out(
        "files that lie in the wrong place", "engine/absence.py",
        "            if exists and not torrent.suspect:\n", "            if False:\n",
        "faults.test_roots.AwayTests.test_written_in_the_wrong_place",
    ),
    taken_out(
        "the clock jumps", "steady.py",
        "    reactor.seconds = lambda: seconds() + ahead\n", "",
        "test_steady.SteadyTests", "faults.test_process.ClockTests",
    ),
    taken_out(
        "no descriptor is left: some are kept", "rest/crowd.py",
        "KEPT_DESCRIPTORS = 256", "KEPT_DESCRIPTORS = -100_000",
        "rest.test_slow_clients.CrowdTests",
    ),
    taken_out(
        "a tracker does not answer: libtorrent's patience", "engine/profile.py",
        "STOP_TRACKER_TIMEOUT = 2\n", "STOP_TRACKER_TIMEOUT = 60\n",
        "engine.test_session.LifeTests.test_trackers_get_little_time_at_the_stop",
    ),
    taken_out(
        "a tracker does not answer: told before it is asked", "engine/session.py",
        '        self._link.apply({"stop_tracker_timeout": STOP_TRACKER_TIMEOUT})\n', "",
        "engine.test_session.LifeTests.test_trackers_get_little_time_at_the_stop",
    ),
    taken_out(
        "a tracker does not answer: the reactor goes on", "engine/session.py",
        "            self._announced_until = self._shared.reactor.seconds() + STOP_TRACKER_TIMEOUT + 0.5\n",
        "            self._announced_until = 0.0\n",
        "engine.test_session.LifeTests",
    ),
    taken_out(
        "SIGTERM, once more: at once", "signals.py",
        "            self._strike(number)\n", "            pass\n",
        "test_startup.SignalTests",
    ),
    taken_out(
        "SIGTERM, once more: not its echo", "signals.py",
        "        elif now - self._since >= ECHO:\n", "        else:\n",
        "test_startup.SignalTests",
    ),
    taken_out(
        "a second daemon", "store/statelock.py",
        "            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n", "            pass\n",
        "store.test_statelock.StateLockTests",
    ),
    taken_out(
        "the state folder is private", "store/statelock.py",
        "            directory.chmod(0o700)\n", "            pass\n",
        "store.test_statelock.PrivateTests",
    ),
    taken_out(
        "the state's files are private", "store/statelock.py",
        "        os.fchmod(fd, 0o600)\n", "        os.fchmod(fd, 0o644)\n",
        "store.test_statelock.PrivateTests",
    ),
    taken_out(
        "the watchdog starves with a stuck part", "systemd.py",
        "        if not stuck:\n            self._notifier.alive()\n", "        self._notifier.alive()\n",
        "test_systemd.WatchdogTests",
    ),
    taken_out(
        "a torrent is stored before it is answered", "engine/membership.py",
        "                await stored\n", "                pass\n",
        "engine.test_session.AddingTests.test_store_fails",
    ),
    taken_out(
        "a failed commit is nobody's success", "store/group.py",
        "    for task in tasks:\n        task.result = None\n        task.error = error\n", "    pass\n",
        "store.test_group.GroupTests",
    ),
)  # fmt: skip
