"""The set-up of identity: what is reported, by whom, and who is addressed."""

from identity.admin import audiences, events, id_types, people, tags

__all__ = ["audiences", "events", "id_types", "people", "tags"]
