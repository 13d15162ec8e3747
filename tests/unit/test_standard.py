"""What is taken from pydicom without importing it is what pydicom has."""

import subprocess
import sys

import pytest
from pydicom.charset import CODES_TO_ENCODINGS, python_encoding

from dicomanon_node.deid import repertoires

_SAME = """
import sys
from dicomanon_node.deid import standard
assert "pydicom" not in sys.modules
import pydicom.datadict
from pydicom._uid_dict import UID_dictionary
assert standard.DicomDictionary is pydicom.datadict.DicomDictionary
assert standard.RepeatersDictionary is pydicom.datadict.RepeatersDictionary
assert standard.private_dictionaries is pydicom.datadict.private_dictionaries
assert standard.UID_dictionary is UID_dictionary
assert pydicom.datadict.keyword_for_tag(0x00100010) == "PatientName"
"""


def test_the_dictionaries_are_pydicoms_own_and_do_not_bring_it_along() -> None:
    assert subprocess.run([sys.executable, "-c", _SAME], check=False).returncode == 0


def test_the_repertoires_are_those_that_pydicom_knows() -> None:
    assert dict(repertoires.BY_TERM) == python_encoding
    assert dict(repertoires.BY_ESCAPE) == CODES_TO_ENCODINGS


@pytest.mark.parametrize("module", ["deid.engine", "cli.deidentify"])
@pytest.mark.parametrize("library", ["pydicom", "pynetdicom", "cryptography", "http.client"])
def test_what_deidentifies_does_not_wait_for_libraries_it_rarely_needs(
    module: str, library: str
) -> None:
    program = f"import sys, dicomanon_node.{module}; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
