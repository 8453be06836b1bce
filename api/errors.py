"""The errors of the API that a command shows as one line (`console.terminal.run`).

ApiError                the root
├── LocalError          this machine's server, state folder or port is not as it has to be
├── SettingsError       the environment is wrong               (api.settings)
├── DeclarationError    a resource is declared wrongly         (api.crud)
├── UndescribedError    an operation has no description        (api.openapi)
├── SchemaError         the database is sharded otherwise      (api.schema)
├── AccountError        an administrator cannot be made        (api.setup)
├── ReplayedError       a refresh token came a second time     (api.auth.sessions)
└── StoreError          the database cannot do what was asked  (api.store.errors)

A view raises ProblemError (api.web.problems), which is no fault but the answer to its request, and
no command ever shows it.
"""

from console.errors import ShownError


class ApiError(ShownError):
    """One line for the person at the keyboard: what is wrong, where, and what to do."""


class LocalError(ApiError):
    """Something of this machine is not as it has to be: a process, a folder, a port."""
