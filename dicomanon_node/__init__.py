"""A DICOM Storage SCP that de-identifies on receipt.

The way of an object is written down in `receive`; the composition of the
processes in `node`. This package exports nothing but its version: programs
use the command line, libraries use `dicomanon_node.deid`.
"""

__version__ = "0.1.0"
