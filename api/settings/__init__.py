"""Every setting of the API: from the environment, typed, checked before anything starts.

A setting `claim_grace` is read from SHARDSTACK_CLAIM_GRACE. The secrets (checks.py) may also be
given as files: SHARDSTACK_JWT_SECRET_FILE names a file that holds the secret.
"""

from api.settings.checks import SettingsError, variable
from api.settings.declared import Settings
from api.settings.loading import load

__all__ = ["Settings", "SettingsError", "load", "variable"]
