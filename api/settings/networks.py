"""Networks in settings: addresses or blocks in CIDR form, separated by commas."""

from ipaddress import IPv4Network, IPv6Network, ip_network

from api.settings.names import SettingsError, variable


def networks(text: str, name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Those that a setting lists. Raises SettingsError, which names the wrong one."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.append(ip_network(part))
        except ValueError as error:
            raise SettingsError(
                f"{variable(name)}: '{part}' is no network: {error}. Write 10.0.0.0/8 or ::1/128"
            ) from None
    return tuple(found)
