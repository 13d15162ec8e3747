"""The command line: thin, one module a command.

Exit codes: 0 done, 1 something was not done (each thing is named), 2 wrong usage or
configuration, 130 interrupted.
"""

from dicomanon_node.cli.main import main

__all__ = ["main"]
