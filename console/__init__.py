"""The ground floor: what every command line of the project shares. It knows none of the others.

terminal    commands and their exit statuses, output, progress, questions
errors      the root of the errors that a command shows as one line
files       private files, written whole or not at all; locks; logs that grow
ports       free ports of this machine
signals     signals that end a command, and work that they must not cut in two
"""

from collections.abc import Callable

Report = Callable[[str], None]
"""Hears of each thing that is done, as one line."""
