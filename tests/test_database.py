"""What the tests' own database does between them."""

import pytest
from django.contrib.contenttypes.models import ContentType

from tests import database
from workspaces.models import Workspace


@pytest.mark.django_db(transaction=True)
def test_emptying_forgets_the_numbers_of_another_database() -> None:
    (number,) = ContentType.objects.filter(model="workspace").values_list("pk", flat=True)
    ContentType.objects.get_for_model(Workspace).pk = number + 1_000

    assert database.empty()

    assert ContentType.objects.get_for_model(Workspace).pk == number
