"""The API's server with the resources of a folder besides: of those the pages have never heard.

The folder is BROWSER_RESOURCES. Everything else is `python -m api`.
"""

import os

from api import resources

resources.__path__.append(os.environ["BROWSER_RESOURCES"])
resources.ALL = resources._discover()

from api.__main__ import main  # noqa: E402 - the resources come first
from console.terminal import run  # noqa: E402

if __name__ == "__main__":
    run(main, "python -m api")
