"""The errors that `tally load` reports without a traceback."""

from typing import ClassVar


class LoadError(Exception):
    """A file could not be loaded; the message says why and what to do."""

    exit_code: ClassVar[int] = 1


class UsageError(LoadError):
    """The command line has conflicting options, or names something that the file does not have."""

    exit_code = 2


class Stopped(LoadError):
    """Ctrl-C."""

    exit_code = 130
