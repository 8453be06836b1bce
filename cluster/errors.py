"""What can go wrong with a cluster, each said in one line that tells what to do.

    ClusterError            the root; its text is the whole line, without "error:"
    ├── TopologyError       the description of the cluster is wrong (one line per mistake, status 2)
    ├── StateError          the state folder is damaged, or does not fit the request
    ├── BinaryError         mongod is missing or does not run here           (local.binaries)
    ├── NodeError           a process did not start, or died
    ├── KeyFileError        a member does not accept the cluster's key
    ├── MismatchError       the servers are set up otherwise than the description says
    ├── LockedError         somebody keeps a primary from taking writes
    ├── DeadlineError       something did not happen in time; names each member and its state
    ├── DamageError         a backup is damaged                              (backup)
    ├── VoidError           a backup's moment cannot be read any more        (backup)
    ├── DifferenceError     what was restored differs (one line each, status 3)  (backup)
    └── DrillError          a drill could not run, or be judged (status 3)       (drill)

A file or folder that cannot be read or written, or is held by another command, is a
`console.errors.FileError`. The stand-in router speaks to drivers and not to people: its errors are
in `router.errors`.
"""

from __future__ import annotations

from console.errors import WRONG_USAGE, ShownError


class ClusterError(ShownError):
    """One line for the person at the keyboard: what is wrong, where, and what to do."""


class TopologyError(ClusterError):
    """Mistakes in the description of a cluster, one line for each."""

    status = WRONG_USAGE


class StateError(ClusterError):
    """The state folder is damaged, or does not fit what was asked for."""


class NodeError(ClusterError):
    """A process could not be started, or died."""


class KeyFileError(ClusterError):
    """A member refuses the cluster's key."""


class MismatchError(ClusterError):
    """What the servers say of themselves is not what the description says."""


class LockedError(ClusterError):
    """Somebody keeps a primary from taking writes: an operator, or another tool."""


class DeadlineError(ClusterError):
    """A deadline passed; the text names the members and their states."""


class DrillError(ClusterError):
    """A drill could not run, or what it left cannot be judged: it proves nothing."""

    status = 3
