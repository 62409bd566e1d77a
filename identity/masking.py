"""What is shown of a value to somebody who may not see it."""

from identity.choices import IdKind
from identity.models import IdType

HIDDEN = "****"


def mask(value: str, id_type: IdType) -> str:
    """Return ``value`` with its middle hidden: 138****0000, z****@example.com.

    How many characters are hidden does not show.
    """
    if id_type.kind == IdKind.EMAIL and "@" in value:
        name, _, domain = value.rpartition("@")
        return f"{name[:1]}{HIDDEN}@{domain}"
    head, tail = (3, 4) if len(value) > 9 else (1, 1) if len(value) > 4 else (0, 0)
    return f"{value[:head]}{HIDDEN}{value[len(value) - tail :]}"


def shown(value: str, id_type: IdType, *, in_clear: bool) -> str:
    """Return the value as a member may see it: a sensitive type is masked without the right."""
    return mask(value, id_type) if id_type.sensitive and not in_clear else value
