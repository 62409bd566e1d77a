from identity.models.audiences import Audience, AudienceMember
from identity.models.events import Event, EventAttribute, EventType, IncomingEvent
from identity.models.id_types import DataSource, IdType
from identity.models.profiles import Identifier, MappingConflict, MappingKey, Profile
from identity.models.tags import Tag

__all__ = [
    "Audience",
    "AudienceMember",
    "DataSource",
    "Event",
    "EventAttribute",
    "EventType",
    "IdType",
    "Identifier",
    "IncomingEvent",
    "MappingConflict",
    "MappingKey",
    "Profile",
    "Tag",
]
