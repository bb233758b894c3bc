"""The command line: one file per command, named as the command."""

import fedsiege.services  # noqa: F401 - sets one computing thread per process before numpy is loaded
