"""The data dictionaries that pydicom ships, without pydicom itself.

`import pydicom._dicom_dict` first imports the whole package, pixel decoders and an HTTP
client with it: a tenth of a second, for which every command would wait. These three
modules hold tables and import nothing. Whoever imports pydicom later gets the same ones.
"""

import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
    from pydicom._private_dict import private_dictionaries
    from pydicom._uid_dict import UID_dictionary
else:

    def _module(name: str) -> ModuleType:
        full_name = f"pydicom.{name}"
        if full_name not in sys.modules:
            directory = Path(find_spec("pydicom").origin).parent  # found, not imported
            spec = spec_from_file_location(full_name, directory / f"{name}.py")
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            sys.modules[full_name] = module
        return sys.modules[full_name]

    DicomDictionary = _module("_dicom_dict").DicomDictionary
    RepeatersDictionary = _module("_dicom_dict").RepeatersDictionary
    private_dictionaries = _module("_private_dict").private_dictionaries
    UID_dictionary = _module("_uid_dict").UID_dictionary

__all__ = ["DicomDictionary", "RepeatersDictionary", "UID_dictionary", "private_dictionaries"]
