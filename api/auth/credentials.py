"""Who gives the right password: at log-in, and again before a password or e-mail change.

Tries are counted before the password is looked at, so however many come together, no more than the
limit's are answered. But whoever is counted together with strangers is locked out by them. So there
are separate counts:

    an address                  its log-ins to all accounts
    an account and an address   its log-ins to this account; so one stranger stops itself alone
    an account                  log-ins by all strangers together, from however many addresses
    an account and a device     log-ins that prove an earlier one: by a device token, which log-in
                                gave (OWASP, "Slow down online guessing attacks with device
                                cookies"), or by an access token. Nothing else counts against them
    a session                   tries to confirm the password by whoever is logged in

A *known* address is one that the user was logged in from; the last ones stay in its document. There
the right password passes, however much strangers are at work elsewhere; a wrong one is refused as a
stranger's is, so that nobody learns which addresses are known. Strangers who share the owner's
address can use that up. Then the device token is the owner's way, and being logged in still works.

Unknown users and wrong passwords take the same steps, each as long as the other: the claim, the
user's document, the counters, one Argon2 verification (two, where the password is not in its normal
form), a linearizable second look, one event in the audit trail.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bson import ObjectId

from api import passwords
from api.auth.sessions import LINEARIZABLE, MAJORITY, Opened, Sender, Sessions, is_known
from api.auth.tokens import Verified
from api.crud import audit
from api.crud.access import Principal
from api.crud.audit import REFUSED, Trail
from api.resources import USERS
from api.settings import Settings
from api.store import Document, Store, ThrottledError
from api.store.throttle import Throttle
from api.web.problems import ProblemError, unauthorized
from api.web.proxies import block

THROTTLED = "throttled"
FIELDS = (
    "email", "national_id", "password_hash", "disabled", "version", "known_addresses",
    "sessions.address",
)  # fmt: skip
TURNS = 3  # against passwords that change while they are verified


class Credentials:
    """Verifies passwords, counts the tries and records them."""

    def __init__(self, store: Store, settings: Settings, sessions: Sessions, trail: Trail) -> None:
        self._users = USERS.documents(store)
        self._sessions = sessions
        self._trail = trail
        rate = settings.login_rate_account
        self._addresses = Throttle(store, "login-address", settings.login_rate_address)
        self._strangers = Throttle(store, "login-strangers", settings.login_rate_strangers)
        self._senders = Throttle(store, "login-account", rate)
        self._confirmations = Throttle(store, "confirm", rate)

    def log_in(
        self, field: str, value: str, password: str, client: Sender, proofs: Sequence[Verified]
    ) -> tuple[ObjectId, Opened]:
        """A new session for whom these belong to: the user's id, and the session.

        `proofs` are earlier log-ins that the request proves, of whomever.
        Raises 401, the same for every reason and in the same time; 429; 409 in the unlikely case
        that the password changes each time it is verified.
        """
        claims = self._users.claims
        owner = claims.owner_of(field, value)
        account = claims.name(field, value, ObjectId(), 0).id if owner is None else str(owner)
        proof = next((one.session for one in proofs if one.user_id == owner), None)
        sender = f"{account} {proof or block(client.address)}"
        user_id = owner or ObjectId()
        seen = self._sessions.read(user_id, FIELDS, MAJORITY)
        refusal = None
        if proof is None:
            refusal = self._count(owner, account, sender, client, is_known(seen, client.address))
        else:
            with self._recording(audit.LOGIN, owner):
                self._senders.hit(sender)
        for _ in range(TURNS):
            user = self._verified(user_id, seen, password)
            if user is None or not claims.holds(user, field, value):
                self._trail.record(audit.LOGIN, target=owner, outcome=REFUSED)
                raise refusal or unauthorized("These credentials are not right.")
            # Only now is the password at hand for a hash by today's rules.
            renewed = passwords.renewed(user["password_hash"], password)
            opened = self._sessions.begin(user, client, renewed)
            if opened is not None:
                self._senders.clear(sender)
                if proof is None:
                    self._strangers.give_back(account)  # it was no guess
                self._trail.record(audit.LOGIN, actor=user["_id"], target=user["_id"])
                return user["_id"], opened
            seen = self._sessions.read(user_id, FIELDS, MAJORITY)
        raise ProblemError(409, "This account keeps changing. Try again.", kind="version-moved")

    def _count(
        self, owner: ObjectId | None, account: str, sender: str, client: Sender, known: bool
    ) -> ThrottledError | None:
        """Count a try that proves nothing. Raises ThrottledError; one that is returned stands for
        all but the right password.
        """

        def excused(throttle: Throttle, who: str) -> ThrottledError | None:
            try:
                with self._recording(audit.LOGIN, owner):
                    throttle.hit(who)
            except ThrottledError as error:
                if not known:
                    raise
                return error
            return None

        of_address = excused(self._addresses, block(client.address))
        with self._recording(audit.LOGIN, owner):
            self._senders.hit(sender)
        of_strangers = excused(self._strangers, account)
        return of_address or of_strangers

    def confirm(self, who: Principal, password: str, event: str) -> int:
        """Let the user prove again who it is, for `event`; the version of its document.

        Raises 403: the token is good, so a 401 would send clients to log in; 429.
        """
        with self._recording(event, who.id):
            self._confirmations.hit(who.session)
        user = self._verified(who.id, self._sessions.read(who.id, FIELDS, MAJORITY), password)
        if user is None:
            self._trail.record(event, actor=who.id, target=who.id, outcome=REFUSED)
            raise ProblemError(403, "The current password is not right.", kind="wrong-password")
        self._confirmations.clear(who.session)
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

    def _verified(self, user_id: ObjectId, seen: Document, password: str) -> Document | None:
        """The user, if this is its password and it may log in. `seen`: its document just now."""
        if _is_right(seen, password):
            return seen
        # The majority's view may have lagged just after a failover: refuse on the very last state.
        last = self._sessions.read(user_id, FIELDS, LINEARIZABLE)
        same = all(last.get(name) == seen.get(name) for name in ("password_hash", "disabled"))
        return None if same or not _is_right(last, password) else last


def _is_right(user: Document, password: str) -> bool:
    right = passwords.verify(user.get("password_hash"), password)
    return right and not user.get("disabled")
