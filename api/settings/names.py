"""What settings are called in the environment, and the one error about them."""

PREFIX = "SHARDSTACK_"
FILE = "_FILE"
SECRETS = ("database_uri", "jwt_secret", "jwt_previous_secret", "metrics_token")
ELSEWHERE = frozenset({"SHARDSTACK_STATE", "SHARDSTACK_TOPOLOGY"})  # read by command lines


class SettingsError(Exception):
    """A setting is missing or wrong. The message is one line and says what to do."""


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()
