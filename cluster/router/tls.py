"""TLS as the router needs it: as a server to clients, as a client to config servers and shards."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Tls:
    """How connections are encrypted in either direction; None: they are not."""

    server: ssl.SSLContext | None = None
    client: ssl.SSLContext | None = None

    @classmethod
    def load(cls, certificate: Path, authority: Path, *, anonymous_clients: bool) -> Self:
        """Contexts from a file with certificate and private key, and one of authorities.

        Clients must show a certificate unless `anonymous_clients`; one that is shown is verified.
        Members are verified by authority and host name, and are shown ours, as mongos does.

        Raises:
            ValueError: a file does not hold what it must.
            OSError: a file cannot be read.
        """
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.verify_mode = ssl.CERT_OPTIONAL if anonymous_clients else ssl.CERT_REQUIRED
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for context in (server, client):
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            _load(context, certificate, authority)
        return cls(server, client)


PLAIN = Tls()


def _load(context: ssl.SSLContext, certificate: Path, authority: Path) -> None:
    for file in (certificate, authority):
        file.open("rb").close()  # OpenSSL's own error does not name the file
    try:
        context.load_cert_chain(certificate, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(
            f"--tlsCertificateKeyFile {certificate} does not hold a certificate and its private "
            f"key, unencrypted ({_reason(error)})"
        ) from None
    try:
        context.load_verify_locations(authority)
    except ssl.SSLError as error:
        raise ValueError(
            f"--tlsCAFile {authority} does not hold a certificate ({_reason(error)})"
        ) from None


def _no_password() -> str:
    raise ValueError("it is encrypted")  # OpenSSL would ask at the terminal


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error)
