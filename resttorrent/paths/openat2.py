"""
Opening a folder below another in one system call that follows no link on the way.

Source: openat2(2), Linux 5.6. Python has no function for it, so it is called by its number.
"""

import ctypes
import errno
import os

_NUMBER = 437
_MACHINES = frozenset({"x86_64", "i686", "aarch64", "armv6l", "armv7l", "riscv64", "ppc64le", "s390x"})
"""Where that is its number; on a few others it is another one's."""

_NO_MAGICLINKS = 0x02
_NO_SYMLINKS = 0x04
_BENEATH = 0x08
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_NOT_HERE = frozenset({errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.E2BIG})
"""What the first call says where the kernel lacks it, or a filter of system calls is in the way."""
_TRIES = 8
"""The kernel gives up with EAGAIN when something was renamed meanwhile."""


class _How(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


class Openat2:
    """
    The system call, if there is one.

    :ivar usable: whether it is there; ``None`` until it was tried.
    """

    def __init__(self) -> None:
        self._how = _How(FOLDER, 0, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS)
        self.usable: bool | None = None
        if os.uname().sysname != "Linux" or os.uname().machine not in _MACHINES:
            self.usable = False
            return
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype = ctypes.c_long
        self._syscall.argtypes = [
            ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t,
        ]  # fmt: skip

    def folder(self, start: int, relative: str) -> int | None:
        """
        Open a folder below an open one.

        :param relative: one name or more, without NUL.
        :return: a descriptor; ``None`` if it did not work out: who goes there name by name learns why.
        """
        if self.usable is False:
            return None
        path = os.fsencode(relative)
        for _ in range(_TRIES):
            how = ctypes.byref(self._how)
            descriptor = int(self._syscall(_NUMBER, start, path, how, ctypes.sizeof(self._how)))
            error = 0 if descriptor >= 0 else ctypes.get_errno()
            if self.usable is None and error in _NOT_HERE:
                self.usable = False
                return None
            if not error:
                self.usable = True
                return descriptor
            if error != errno.EAGAIN:
                return None
        return None
