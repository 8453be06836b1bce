"""Who gives the right password: at log-in, and again before a password or e-mail change.

Unknown users and wrong passwords take the same steps, each as long as the other: a counter, the
claim, a second counter, the user's document, one Argon2 verification, a linearizable second look,
one event in the audit trail. Tries are counted before the password is looked at, so however many
come at once, no more than the limit's are answered.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from bson import ObjectId

from api.auth import events, passwords
from api.auth.sessions import LINEARIZABLE, MAJORITY, Client, Opened, Sessions
from api.crud.audit import REFUSED, Trail
from api.resources import USERS
from api.settings import Settings
from api.store import Document, Store, ThrottledError
from api.store.throttle import Throttle
from api.web.client_address import block, client_address
from api.web.problems import ProblemError, unauthorized

THROTTLED = "throttled"
FIELDS = ("email", "national_id", "password_hash", "disabled", "version")
TURNS = 3  # against passwords that change while they are verified


class Credentials:
    """Verifies passwords, counts the tries and records them."""

    def __init__(self, store: Store, settings: Settings, sessions: Sessions, trail: Trail) -> None:
        self._users = USERS.documents(store)
        self._sessions = sessions
        self._trail = trail
        self._addresses = Throttle(store, "login-address", settings.login_rate_address)
        self._accounts = Throttle(store, "login-account", settings.login_rate_account)

    def log_in(
        self, field: str, value: str, password: str, client: Client
    ) -> tuple[ObjectId, Opened]:
        """A new session for whom these belong to: the user's id, and the session.

        Raises 401, the same for every reason and in the same time; 429; 409 in the unlikely case
        that the password changes each time it is verified.
        """
        with self._recording(events.LOGIN, None):
            self._addresses.hit(block(client_address()))
        claims = self._users.claims
        owner = claims.owner_of(field, value)
        account = claims.name(field, value, ObjectId(), 0).id if owner is None else str(owner)
        with self._recording(events.LOGIN, owner):
            self._accounts.hit(account)
        for _ in range(TURNS):
            user = self._verified(owner or ObjectId(), password)
            if user is None or not claims.holds(user, field, value):
                self._trail.record(events.LOGIN, target=owner, outcome=REFUSED)
                raise unauthorized("These credentials are not right.")
            # Only now is the password at hand for a hash by today's rules.
            renewed = passwords.renewed(user["password_hash"], password)
            opened = self._sessions.begin(user, client, renewed)
            if opened is not None:
                self._accounts.clear(account)
                self._trail.record(events.LOGIN, actor=user["_id"], target=user["_id"])
                return user["_id"], opened
        raise ProblemError(409, "This account keeps changing. Try again.", kind="version-moved")

    def confirm(self, user_id: ObjectId, password: str, event: str) -> int:
        """Let the user prove again who it is, for `event`; the version of its document.

        Raises 403: the token is good, so a 401 would send clients to log in; 429.
        """
        with self._recording(event, user_id):
            self._addresses.hit(block(client_address()))
            self._accounts.hit(str(user_id))
        user = self._verified(user_id, password)
        if user is None:
            self._trail.record(event, actor=user_id, target=user_id, outcome=REFUSED)
            raise ProblemError(403, "The current password is not right.", kind="wrong-password")
        self._accounts.clear(str(user_id))
        version: int = user["version"]
        return version

    @contextmanager
    def _recording(self, event: str, user_id: ObjectId | None) -> Iterator[None]:
        """Record that tries are throttled, once in each span: else whoever floods the API would
        flood the trail, too.
        """
        try:
            yield
        except ThrottledError as error:
            if error.first:
                self._trail.record(event, target=user_id, outcome=THROTTLED)
            raise

    def _verified(self, user_id: ObjectId, password: str) -> Document | None:
        """The user, if this is its password and it may log in."""
        seen = self._sessions.read(user_id, FIELDS, MAJORITY)
        if _is_right(seen, password):
            return seen
        # The majority's view may have lagged just after a failover: refuse on the very last state.
        last = self._sessions.read(user_id, FIELDS, LINEARIZABLE)
        same = all(last.get(name) == seen.get(name) for name in ("password_hash", "disabled"))
        return None if same or not _is_right(last, password) else last


def _is_right(user: Document, password: str) -> bool:
    right = passwords.verify(user.get("password_hash"), password)
    return right and not user.get("disabled")
