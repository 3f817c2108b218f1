"""
``twistd resttorrent``: the command line, and the service that it starts.

Reading the options needs neither reactor nor libtorrent, so ``--help`` and a wrong option cost nothing.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from twisted.application.service import IService, Service
from twisted.logger import ILogObserver
from twisted.python import usage
from twisted.python.components import Componentized

from ._version import __version__
from .arenas import limit_arenas
from .descriptors import raise_limit
from .errors import StartFailed
from .logs import LeastLevel, twistd_observer
from .options import OPTIONS, Option, OptionError, explain_usage, resolve
from .pid_file import remove_if_stale
from .reloading import Reloader
from .settings import Settings
from .signals import HangUp, Stopper
from .start_report import StartReport
from .startup import Ending, StartGuard, Supervised, leave, load_service
from .steady import make_steady
from .supervision import Supervision
from .systemd import Notifier, watchdog_of


class Options(usage.Options):
    """
    The command line.

    :ivar settings: what it means, together with the environment and the configuration file.
    """

    synopsis = "[options]"
    longdesc = (
        "Every option may also stand in the environment, as RESTTORRENT_ and its name (RESTTORRENT_STATE_DIR;"
        " commas part the values of a repeatable one), or in the --config file. The command line wins over"
        " the environment, and that over the file."
    )
    settings: Settings

    def __init__(self) -> None:
        usage.Options.__init__(self)
        self.given: dict[str, list[str]] = {}

    def opt_version(self) -> NoReturn:
        """Print RestTorrent's version and exit."""
        print(f"RestTorrent {__version__}")  # noqa: T201
        sys.exit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read the command line; a mistake ends the process with one line, not with twistd's whole help."""
        try:
            usage.Options.parseOptions(self, options)
        except (usage.UsageError, OptionError) as error:
            leave(explain_usage(str(error)))

    def parseArgs(self, *arguments: str) -> None:
        if arguments:
            raise usage.UsageError(f"unexpected argument {arguments[0]!a}")

    def postOptions(self) -> None:
        twistd = self.twistd
        if twistd.get("umask") is not None:
            self.given.setdefault("umask", [f"{twistd['umask']:o}"])
        self.settings = resolve(self.given, os.environ)
        if twistd.get("pidfile"):
            remove_if_stale(Path(twistd["pidfile"]))

    @property
    def twistd(self) -> Mapping[str, Any]:
        """The options of twistd itself; empty under ``twist``."""
        return self.parent if self.parent is not None and "pidfile" in self.parent else {}


def _handler(option: Option) -> Callable[..., None]:
    def handle(self: Options, text: str) -> None:
        self.given.setdefault(option.name, []).append(text)

    def handle_flag(self: Options) -> None:
        handle(self, option.alone)

    # twisted looks at how many arguments there are
    handler = handle_flag if option.flag else handle
    handler.__doc__ = option.documentation
    return handler


for _option in OPTIONS:
    setattr(Options, f"opt_{_option.name.replace('-', '_')}", _handler(_option))


class Daemon(StartGuard):
    """The guarded service, which also tells twistd how to log."""

    observer: ILogObserver | None = None

    def setServiceParent(self, parent: Any) -> None:
        if self.observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.observer)
        Service.setServiceParent(self, parent)


def makeService(options: Options) -> IService:
    """
    Make the daemon's service; called before twistd forks, so nothing is started, bound or locked yet.

    :raises SystemExit: this can't become a daemon; says why in one line.
    """
    from twisted.internet import reactor as installed

    reactor: Any = installed
    make_steady(reactor)
    # before anything goes by it
    raise_limit()
    limit_arenas()
    settings, twistd = options.settings, options.twistd
    forks = bool(twistd) and not twistd["nodaemon"] and not twistd["debug"]
    level = LeastLevel(settings.log_level)
    try:
        notifier = Notifier.of(os.environ)
        observer = twistd_observer(twistd, level, settings.log_format) if twistd else None
        inner = load_service(settings, reactor)
    except OSError as error:
        leave(f"--logfile: {error}")
    except (StartFailed, ValueError) as error:
        leave(str(error))
    report = StartReport(forks)
    ending = Ending(reactor, report)
    supervision = Supervision(
        notifier,
        watchdog_of(os.environ, reactor, notifier, lambda: inner.probes()),
        _reloader(options, inner, level).reload,
    )
    daemon = Daemon(
        reactor,
        inner,
        settings.umask,
        report,
        ending,
        Stopper(reactor, ending.stop),
        supervision,
        HangUp(reactor, supervision.reload, ending.stop),
    )
    daemon.observer = observer
    return daemon


def _reloader(options: Options, inner: Supervised, level: LeastLevel) -> Reloader:
    base = Path.cwd()  # twistd may change it

    def read() -> Settings:
        return resolve(options.given, os.environ, base)

    def apply(settings: Settings) -> None:
        level.set(settings.log_level)
        os.umask(settings.umask)
        inner.reload(settings)

    return Reloader(options.settings, read, apply)
