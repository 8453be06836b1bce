"""Changes the key of the key file while the servers that know one another by it go on.

A server accepts every key of its file, logs in with the first, and tries the second where that is
refused. So two rounds of restarts do it, as MongoDB's manual has it:

    the file         what it means                         restarted servers accept
    old              nothing is being changed              old
    old, new         round 1: all learn the new key        old and new; log in with old
    new, new         round 2: all forget the old key       new; to others they log in with new
    new              done

In either round every server accepts the first key of the file, by which this program logs in: in
round 1 none has forgotten the old one, in round 2 all have learned the new one. One that has yet to
forget logs in to one that has with its second key. Naming the new key twice is a server's way of
knowing it alone, and ours to tell a round that was interrupted from one that is done.
Source: https://www.mongodb.com/docs/manual/tutorial/rotate-key-sharded-cluster/
"""

from __future__ import annotations

from collections.abc import Callable

from cluster import keyfile
from cluster.place import Place
from cluster.rolling import assert_well, rolling_restart

Report = Callable[[str], None]


def rotate_key(place: Place, report: Report) -> None:
    """Gives the servers a new key, or goes on where this was interrupted.

    Raises ClusterError: not all servers are well, or one does not come back.
    """
    keys = place.keys()
    if len(keys) == 1:
        assert_well(place.access())
        keys = [keys[0], keyfile.make()]
        place.write_key(keys)
        report("key file: the old key and a new one")
    if keys[0] != keys[1]:
        _restart_all(place, report)
        keys = [keys[1], keys[1]]
        place.write_key(keys)
        report("every server accepts the new key; key file: the new key alone")
    _restart_all(place, report)
    place.write_key(keys[:1])
    report("every server has forgotten the old key")


def _restart_all(place: Place, report: Report) -> None:
    rolling_restart(place.access(), lambda node: place.restart(node.name), report)
