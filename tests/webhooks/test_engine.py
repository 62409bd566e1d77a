"""One sender, a real receiver, real tables: what becomes of people, one rule a test."""

from collections.abc import Iterator

import pytest

from tests.webhooks.scene import Scene, make_scene
from webhooks.models import Attempt, Chunk, Delivery, Message
from webhooks.receiver import Receiver, Reply

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def scene(receiver: Receiver) -> Scene:
    return make_scene(receiver.url("/in"))


def test_everybody_gets_one_signed_personal_request(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=20)
    scene.submit()

    assert scene.drain() == 20

    counts = scene.counts()
    assert (counts.planned, counts.delivered, counts.queued) == (20, 20, 0)
    ledger = receiver.ledger("/in")
    assert ledger.stats()["delivered"] == 20
    texts = {each.recipients[0]["params"]["content"] for each in receiver.entries("/in")}
    assert "Dear Person 1 Hello" in texts
    assert len(texts) == 20
