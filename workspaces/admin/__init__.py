"""The set-up of tenants and members. Importing it registers the classes."""

from workspaces.admin import members, records, tenants

__all__ = ["members", "records", "tenants"]
