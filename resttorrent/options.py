"""
What may be told to a daemon at its start, each option declared once, in ``OPTIONS``.

From this table come the command line and its help, the environment variables and the keys of the
configuration file. The first source that has an option wins: command line, environment, file, default.
Nothing here needs twistd, a reactor or libtorrent.
"""

import difflib
import getopt
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from . import option_values as values
from .default_places import home, roots, state_dir
from .option_values import Place
from .printable import one_line, shortened
from .settings import Settings


class OptionError(Exception):
    """An option that can't be used; the message is one line that names it and where it was given."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(shortened(message, 1000)))


@dataclass(frozen=True, slots=True)
class Option:
    """
    One option.

    :ivar name: with dashes, as on the command line.
    :ivar parse: makes the value of the text; see ``option_values``.
    :ivar default: the text meant when nobody says anything; ``None`` if it is worked out, or nothing.
    :ivar repeatable: may be given many times; all that one source gives are the value.
    :ivar separator: parts the texts in the environment; ``None`` means white space.
    :ivar flag: on the command line it stands alone and means ``on``.
    :ivar quoted: the file must give text, since TOML's number would be read otherwise than it looks.
    """

    name: str
    parse: values.Parser
    help: str
    default: str | None = None
    repeatable: bool = False
    separator: str | None = ","
    quoted: bool = False
    flag: bool = False

    @property
    def documentation(self) -> str:
        """What ``--help`` says."""
        return self.help if self.default is None else f"{self.help} Default: {self.default}."

    @property
    def spelling(self) -> str:
        """As ``getopt`` wants it."""
        return self.name if self.flag else f"{self.name}="

    @property
    def alone(self) -> str:
        """What is meant where the command line gives no text."""
        return "on" if self.flag else ""

    @property
    def variable(self) -> str:
        """The environment variable that gives it."""
        return "RESTTORRENT_" + self.name.upper().replace("-", "_")


OPTIONS = (
    Option("port", values.port, "TCP port of the API; 0 takes any free one.", "8080"),
    Option("interface", values.interface, "Address to serve the API on.", "127.0.0.1"),
    Option(
        "listen",
        values.endpoint,
        "Twisted endpoint to serve the API at, such as tcp:8080 or unix:/run/rt.sock, instead of --port and"
        " --interface. Repeatable; white space parts several in RESTTORRENT_LISTEN.",
        repeatable=True,
        separator=None,
    ),
    Option(
        "auth",
        values.one_of("auto", "always", "never"),
        "Who needs a token. auto: all but those on this machine (no proxy header, a loopback Host, no foreign"
        " Origin) and on UNIX sockets; always: all; never: nobody.",
        "auto",
    ),
    Option(
        "allow-unauthenticated-network",
        values.switch,
        "Let --auth never be served beyond this machine: whoever reaches the port can do everything.",
        "off",
        flag=True,
    ),
    Option(
        "trusted-proxy",
        values.network,
        "Network (CIDR) of proxies whose X-Forwarded-For is believed, to count clients by. Who asks from"
        " there always needs a token. Repeatable.",
        repeatable=True,
    ),
    Option(
        "allow-host",
        values.host,
        "Name that this daemon is asked by, such as nas.lan, beside localhost and its addresses; with a port,"
        " by that alone. Repeatable.",
        repeatable=True,
    ),
    Option(
        "allow-origin",
        values.origin,
        "Origin of a site, such as https://ui.example.org, whose pages may use the API from a browser (CORS)."
        " Repeatable.",
        repeatable=True,
    ),
    Option(
        "state-dir",
        values.state_folder,
        "Folder of the database, the lock and listening.json; :memory: keeps nothing. Default:"
        " $STATE_DIRECTORY, else $XDG_STATE_HOME/resttorrent, else /var/lib/resttorrent for root and"
        " ~/.local/state/resttorrent for others.",
    ),
    Option(
        "root",
        values.folder,
        "Folder that payload may lie in. Repeatable; the first is where it goes by default. Default:"
        " $XDG_DOWNLOAD_DIR, else ~/Downloads if there is one, else downloads in the state folder.",
        repeatable=True,
    ),
    Option(
        "peer-interface",
        values.peer_interface,
        "Address or network device on which sessions serve peers. Repeatable. Default: all.",
        repeatable=True,
    ),
    Option(
        "discovery",
        values.switch,
        "on or off: whether sessions use DHT, LSD, UPnP and NAT-PMP.",
        "on",
    ),
    Option(
        "fetch-allow",
        values.network,
        "Network (CIDR) that a torrent's url may lead to although it is not public. Repeatable.",
        repeatable=True,
    ),
    Option(
        "durability",
        values.one_of("normal", "full"),
        "full flushes the disk before each answer, normal within a second.",
        "normal",
    ),
    Option(
        "umask",
        values.file_mask,
        "Octal mask of the payload files' modes; the state is always private.",
        "0022",
        quoted=True,
    ),
    Option(
        "config",
        values.path,
        "TOML file with the same names, dashes or underscores alike; its relative paths start at its folder.",
    ),
    Option(
        "log-level",
        values.one_of("debug", "info", "warn", "error", "critical"),
        "Least level that is logged: debug, info, warn, error or critical.",
        "info",
    ),
    Option(
        "log-format",
        values.one_of("text", "json"),
        "text or json, one line an event.",
        "text",
    ),
)


_BY_NAME = {option.name: option for option in OPTIONS}


@dataclass(frozen=True, slots=True)
class Given:
    """What one source says of one option: its texts, what to call it in an error, where paths start."""

    texts: Sequence[str]
    called: str
    place: Place


def settings_from(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """
    Read the settings of a daemon.

    :param arguments: as on the command line, the options of twistd itself left out.
    :raises OptionError: one line that says what is wrong, and where.
    """
    try:
        pairs, rest = getopt.getopt(list(arguments), "", [option.spelling for option in OPTIONS])
    except getopt.GetoptError as error:
        raise OptionError(explain_usage(str(error))) from None
    if rest:
        raise OptionError(f"unexpected argument {_shown(rest[0])}")
    given: dict[str, list[str]] = {}
    for name, text in pairs:
        given.setdefault(name.removeprefix("--"), []).append(text or _BY_NAME[name[2:]].alone)
    return resolve(given, environ)


def resolve(
    arguments: Mapping[str, Sequence[str]], environ: Mapping[str, str], base: Path | None = None
) -> Settings:
    """
    Lay the sources over each other and read what comes out.

    :param arguments: the texts that the command line gave for each option, in order.
    :param base: where relative paths start; default: the working directory.
    :raises OptionError: one line that says what is wrong, and where.
    """
    place = Place(base=base or Path.cwd(), home=home(environ))
    given = {**_from_environment(environ, place), **_from_arguments(arguments, place)}
    if "config" in given:
        given = {**_from_file(_read(_BY_NAME["config"], given["config"]), place), **given}
    for name in ("port", "interface"):
        if "listen" in given and name in given:
            raise OptionError(f"{given['listen'].called} and {given[name].called} exclude each other")
    return _settings({option.name: _value(option, given) for option in OPTIONS}, given, environ, place)


def explain_usage(message: str) -> str:
    """Add the nearest option to getopt's complaint about one that does not exist."""
    for word in message.split():
        if word.startswith("--") and "not recognized" in message:
            return f"unknown option {word}{_nearest(word[2:], '--')}"
    return message


def _settings(
    read: Mapping[str, Any], given: Mapping[str, Given], environ: Mapping[str, str], place: Place
) -> Settings:
    try:
        state = read["state-dir"] if "state-dir" in given else state_dir(environ, place)
        payload = read["root"] or roots(environ, place, state)
    except ValueError as error:
        raise OptionError(str(error)) from None
    if read["auth"] == "always" and state is None:
        raise OptionError(
            "--auth always needs a state folder: with --state-dir :memory: there is no token to begin with"
        )
    return Settings(
        listen=read["listen"] or (_tcp(read["port"], read["interface"]),),
        state_dir=state,
        roots=payload,
        peer_interfaces=read["peer-interface"],
        auth=read["auth"],
        allow_unauthenticated_network=read["allow-unauthenticated-network"],
        trusted_proxies=read["trusted-proxy"],
        allow_hosts=read["allow-host"],
        allow_origins=read["allow-origin"],
        discovery=read["discovery"],
        fetch_allow=read["fetch-allow"],
        durability=read["durability"],
        umask=read["umask"],
        log_level=read["log-level"],
        log_format=read["log-format"],
    )


def _tcp(port: int, interface: str) -> str:
    if ip_address(interface).version == 4:
        return f"tcp:{port}:interface={interface}"
    escaped = interface.replace(":", r"\:")
    return f"tcp6:{port}:interface={escaped}"


def _value(option: Option, given: Mapping[str, Given]) -> Any:
    if option.name in given:
        return _read(option, given[option.name])
    if option.repeatable:
        return ()
    return None if option.default is None else option.parse(option.default, Place(Path("/"), None))


def _read(option: Option, given: Given) -> Any:
    read = []
    for text in given.texts if option.repeatable else given.texts[-1:]:
        try:
            if not text:
                raise ValueError("expected a value, but it is empty")
            read.append(option.parse(text, given.place))
        except ValueError as error:
            raise OptionError(f"{given.called}: {error}; not {_shown(text)}") from None
    return tuple(read) if option.repeatable else read[0]


def _from_arguments(arguments: Mapping[str, Sequence[str]], place: Place) -> dict[str, Given]:
    return {name: Given(texts, f"--{name}", place) for name, texts in arguments.items()}


def _from_environment(environ: Mapping[str, str], place: Place) -> dict[str, Given]:
    """Read the variables that are set; an empty one says nothing, as in a unit file that clears it."""
    found = {}
    for option in OPTIONS:
        text = environ.get(option.variable, "")
        texts = [part.strip() for part in text.split(option.separator)] if option.repeatable else [text]
        if any(texts):
            found[option.name] = Given(texts, option.variable, place)
    return found


def _from_file(path: Path, place: Place) -> dict[str, Given]:
    called = f"--config {_shown(str(path), quote=False)}"
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise OptionError(f"{called}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # malformed TOML, or bytes that are not UTF-8
        raise OptionError(f"{called}: not a TOML file: {_shown(str(error), quote=False)}") from None
    beside = Place(path.parent, place.home)
    found: dict[str, Given] = {}
    for key, value in document.items():
        name = key.replace("_", "-")
        option = _BY_NAME.get(name) if name != "config" else None
        if option is None:
            raise OptionError(f"{called}: unknown key {_shown(key)}{_nearest(name)}")
        if name in found:
            raise OptionError(f"{called}: {name} is given twice")
        try:
            found[name] = Given(list(_texts(option, value)), f"{called}: {key}", beside)
        except ValueError as error:
            raise OptionError(f"{called}: {key}: {error}") from None
    return found


def _texts(option: Option, value: object) -> Iterator[str]:
    """Yield the texts of a TOML value, spelt as on the command line."""
    if isinstance(value, list) and option.repeatable:
        for item in value:
            if not isinstance(item, str):
                raise ValueError("expected texts")
            yield item
    elif isinstance(value, bool):
        yield "on" if value else "off"
    elif isinstance(value, int) and not option.quoted:
        yield str(value)
    elif isinstance(value, str):
        yield value
    else:
        raise ValueError(f'expected text, such as "{option.default}"' if option.quoted else "expected text")


def _nearest(name: str, prefix: str = "") -> str:
    near = difflib.get_close_matches(name, _BY_NAME)
    near.sort(key=lambda other: sorted(other) != sorted(name))  # --prot is --port rather than --root
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def _shown(text: str, *, quote: bool = True) -> str:
    """Return a text as it may stand inside one line on a terminal."""
    shown = ascii(text if len(text) <= 200 else text[:200] + "...")
    return shown if quote else shown[1:-1]
