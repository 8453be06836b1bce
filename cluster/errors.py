"""What can go wrong with a cluster, each said in one line that tells what to do.

ClusterError            the base; its text is the whole line, without "error:"
├── TopologyError       the description of the cluster is wrong (one line per mistake)
├── StateError          the state folder is damaged, busy or does not fit the request
├── NodeError           a process did not start, or died
├── KeyFileError        a member does not accept the cluster's key
├── MismatchError       the servers are set up otherwise than the description says
├── LockedError         somebody keeps a primary from taking writes
└── DeadlineError       something did not happen in time; names each member and its state
"""

from __future__ import annotations

from console.errors import WRONG_USAGE, ShownError


class ClusterError(ShownError):
    """One line for the person at the keyboard: what is wrong, where, and what to do."""


class TopologyError(ClusterError):
    """Mistakes in the description of a cluster, one line for each."""

    status = WRONG_USAGE


class StateError(ClusterError):
    """The state folder is damaged, in use, or does not fit what was asked for."""


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
