"""The servers' certificates: an authority of the cluster's own, and one certificate for all nodes.

One, since whoever reads one node's key file can pass for any node in any case. It is issued anew
when a name is missing or little time is left; a server takes it over when it starts.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from console.files import write

AUTHORITY_LIFETIME = datetime.timedelta(days=3650)
LIFETIME = datetime.timedelta(days=730)
RENEWAL = datetime.timedelta(days=180)
SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)  # RFC 5280, 4.2.1.3: an authority's certificate must say so
CLOCKS_DIFFER = datetime.timedelta(hours=1)


def ensure(key_folder: Path, operator_folder: Path, names: Iterable[str]) -> bool:
    """Makes the authority and the servers' certificate if they are missing. Whether it made any."""
    ca_file, ca_key_file = key_folder / "ca.pem", operator_folder / "ca.key"
    server_file = key_folder / "server.pem"
    wanted = [*names, "localhost"]
    if ca_file.exists() and ca_key_file.exists():
        if server_file.exists() and _is_good(server_file, wanted):
            return False
    else:
        _make_authority(ca_file, ca_key_file)
    authority = x509.load_pem_x509_certificate(ca_file.read_bytes())
    ca_key = serialization.load_pem_private_key(ca_key_file.read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)  # noqa: S101 - it was made here
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in wanted]
    alternatives.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        _builder("shardstack", LIFETIME)
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    write(server_file, _pem(certificate) + _key_pem(key), 0o400)
    return True


def _make_authority(ca_file: Path, ca_key_file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("shardstack cluster authority", AUTHORITY_LIFETIME)
    certificate = (
        builder.issuer_name(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shardstack cluster authority")])
        )
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(SIGNS_CERTIFICATES, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    # The key first: a certificate without its key would look as if there were an authority.
    write(ca_key_file, _key_pem(key), 0o400)
    write(ca_file, _pem(certificate), 0o400)


def _is_good(file: Path, wanted: list[str]) -> bool:
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    names = set(found.value.get_values_for_type(x509.DNSName))
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return set(wanted) <= names and left > RENEWAL


def _builder(name: str, lifetime: datetime.timedelta) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER)
        .not_valid_after(now + lifetime)
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
