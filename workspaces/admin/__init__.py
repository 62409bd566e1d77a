"""The set-up of tenants and members. Importing it registers the classes."""

from workspaces.admin import accounts, members, records, tenants

__all__ = ["accounts", "members", "records", "tenants"]
