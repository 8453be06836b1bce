"""Origins in settings: scheme, host and port of pages that may call the API, exactly."""

import re

from api.settings.names import SettingsError, variable

# As browsers send them (RFC 6454, 6.2): lower case, no default port, no path.
ORIGIN = re.compile(
    r"https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?"
).fullmatch
DEFAULTS = {"http": ":80", "https": ":443"}


def origins(text: str, name: str) -> frozenset[str]:
    """Those that a setting lists. Raises SettingsError, which names the wrong one."""
    found = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part == "*":
            fault = "would let every page on the web call the API in its visitor's name"
        elif not ORIGIN(part):
            fault = "is no origin"
        elif part.endswith(DEFAULTS[part.partition(":")[0]]):
            fault = "names the default port, which browsers leave out"
        else:
            found.add(part)
            continue
        raise SettingsError(
            f"{variable(name)}: '{part}' {fault}. "
            "List each origin in full: https://app.example,http://localhost:3000"
        )
    return frozenset(found)
