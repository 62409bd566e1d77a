"""Names that the rig and its processes share."""

from typing import Final

POINTS_VARIABLE: Final = "FAULT_POINTS"
GUARDS_VARIABLE: Final = "FAULTS_WITHOUT"
SETTINGS: Final = "faults.settings"
