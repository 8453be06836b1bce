"""What security events are called in the audit trail."""

SIGNUP = "auth.signup"
LOGIN = "auth.login"
LOGOUT = "auth.logout"
LOGOUT_ALL = "auth.logout_all"
REPLAY = "auth.refresh_replay"
REVOKED = "auth.session_revoked"
PASSWORD = "auth.password_change"  # noqa: S105 - the name of an event
EMAIL = "auth.email_change"
