"""The API before the shared cluster: in this process, and as a real server."""

from tests.helpers.served import (  # noqa: F401 - fixtures
    ada,
    admin,
    another,
    app,
    bob,
    client,
    conf,
    environment,
    explain,
    person,
    seam,
    server,
    store,
    users,
)
