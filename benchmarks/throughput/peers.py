"""Orthanc and CTP: de-identifying receivers of other makers, set up to write files.

Both answer before they de-identify; their rate is that of their files, not of their
answers. Neither syncs what it writes.
"""

import json
import shutil
from pathlib import Path
from typing import Final

from benchmarks.throughput.outputs import Outputs
from benchmarks.throughput.servers import (
    NODELAY,
    Server,
    UnavailableError,
    free_port,
    installed,
)

_PROFILE: Final = "DICOM-PS3.15-Basic"

# What arrives is de-identified by Orthanc's own profile, written as a file, and deleted.
_SCRIPT: Final = """
local count = 0
function OnStoredInstance(instance, tags, metadata)
  local content = RestApiPost('/instances/' .. instance .. '/anonymize', '{}')
  count = count + 1
  local path = '%s/' .. instance .. '-' .. count
  local file = io.open(path .. '.tmp', 'wb')
  file:write(content)
  file:close()
  os.rename(path .. '.tmp', path .. '.dcm')
  RestApiDelete('/instances/' .. instance)
end
"""

_CTP_CONFIG: Final = """<Configuration>
  <Server maxThreads="20" port="{http}"/>
  <Pipeline name="bench">
    <DicomImportService class="org.rsna.ctp.stdstages.DicomImportService"
      name="import" root="roots/import" port="{dicom}" calledAETTag="0" callingAETTag="0"/>
    <DicomAnonymizer class="org.rsna.ctp.stdstages.DicomAnonymizer"
      name="anonymizer" root="roots/anonymizer" script="scripts/basic.script"
      quarantine="quarantines/anonymizer"/>
    <DirectoryStorageService class="org.rsna.ctp.stdstages.DirectoryStorageService"
      name="storage" root="{outputs}" structure="" setStandardExtensions="yes"
      acceptDuplicates="yes" returnStoredFile="no" quarantine="quarantines/storage"/>
  </Pipeline>
</Configuration>
"""


class Orthanc(Server):
    """Orthanc with a script that de-identifies and writes what it gets.

    Args:
        directory: Where it may write.
    """

    def __init__(self, directory: Path) -> None:
        self._written = directory / "written"
        super().__init__("Orthanc", "ORTHANC", Outputs(self._written, is_deidentified=True))
        self._directory = directory

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self._written.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        script = self._directory / "write.lua"
        script.write_text(_SCRIPT % self._written, encoding="utf-8")
        configuration = {
            "Name": "bench",
            "StorageDirectory": str(self._directory / "store"),
            "IndexDirectory": str(self._directory / "store"),
            "StorageCompression": False,
            "DicomAet": self.called,
            "DicomPort": self.port,
            "DicomAlwaysAllowStore": True,
            "DicomCheckCalledAet": False,
            "MaximumPduLength": 131072,
            "HttpPort": free_port(),
            "RemoteAccessAllowed": False,
            "UnknownSopClassAccepted": True,
            "OverwriteInstances": True,
            "LuaScripts": [str(script)],
            "Plugins": [],
        }
        path = self._directory / "orthanc.json"
        path.write_text(json.dumps(configuration), encoding="utf-8")
        self._run((installed("Orthanc"), str(path)), self._directory, NODELAY)
        self._wait_listening()


class Ctp(Server):
    """CTP with a pipeline that de-identifies and writes what it gets.

    Args:
        directory: Where it may write.
        installation: With libraries/ and profiles/ in it.
    """

    warm_up_count = 300

    def __init__(self, directory: Path, installation: Path) -> None:
        self._written = directory / "written"
        super().__init__("CTP", "CTP", Outputs(self._written, is_deidentified=True))
        self._directory = directory
        self._installation = installation.resolve()

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        profile = self._installation / "profiles" / "dicom" / _PROFILE
        libraries = self._installation / "libraries"
        if not profile.is_file() or not (libraries / "CTP.jar").is_file():
            raise UnavailableError("no libraries/CTP.jar and profiles/ in the path given for CTP")
        self._written.mkdir(parents=True, exist_ok=True)
        (self._directory / "scripts").mkdir()
        shutil.copy(profile, self._directory / "scripts" / "basic.script")
        self.port = free_port()
        (self._directory / "config.xml").write_text(
            _CTP_CONFIG.format(http=free_port(), dicom=self.port, outputs=self._written),
            encoding="utf-8",
        )
        # It loads everything else itself, from libraries/ in its working directory.
        (self._directory / "libraries").symlink_to(libraries)
        command = (installed("java"), "-Xms1g", "-Xmx4g", "-jar", "libraries/CTP.jar")
        self._run(command, self._directory)
        self._wait_listening()
