"""What stays of one database in this process when it works on another."""

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection

from qa_webhook import scratch
from workspaces.models import Workspace


@pytest.mark.django_db(transaction=True)
def test_another_database_numbers_content_types_for_itself() -> None:
    (number,) = ContentType.objects.filter(model="workspace").values_list("pk", flat=True)
    ContentType.objects.get_for_model(Workspace).pk = number + 1_000

    with scratch.connected_to(connection.settings_dict["NAME"]):
        assert ContentType.objects.get_for_model(Workspace).pk == number
        ContentType.objects.get_for_model(Workspace).pk = number + 1_000

    assert ContentType.objects.get_for_model(Workspace).pk == number
