"""`python -m dicomanon_node`."""

from dicomanon_node.cli import main

main()
