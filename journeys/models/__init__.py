from journeys.models.journeys import DraftChange, Journey, JourneyVersion
from journeys.models.runs import Enrollment, Run, SnapshotPage

__all__ = ["DraftChange", "Enrollment", "Journey", "JourneyVersion", "Run", "SnapshotPage"]
