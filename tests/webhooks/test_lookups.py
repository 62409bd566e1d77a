"""Who may look a name up: few of those that are not known to work, so that the others can."""

from dataclasses import dataclass

from webhooks.lookups import GIVES_UP_SECONDS, KNOWN_SECONDS, OTHERS_AT_MOST, Lookups


@dataclass(eq=False)
class Asked:
    host: str
    opened_at: float = 0.0
    deadline: float = 10.0
    has_address: bool = False
    has_connection: bool = False


def test_slow_names_leave_threads_for_those_that_were_found() -> None:
    lookups = Lookups[Asked]()
    good = Asked("good.test")
    assert lookups.may_go(good, now=0)
    good.has_address = True
    assert lookups.found(now=0) == []

    now = KNOWN_SECONDS + 1  # libcurl has forgotten the address by now.
    slow = [Asked(f"n{number}.test", opened_at=now) for number in range(40)]
    going = [each for each in slow if lookups.may_go(each, now=now)]
    assert len(going) == OTHERS_AT_MOST
    assert lookups.may_go(Asked("good.test", opened_at=now), now=now)

    # Ended in vain, each still has its thread; who waits has no turn, and ends in time.
    for each in going:
        assert lookups.ended(each, is_unknown=True, now=now + 3) == []
    assert lookups.turns(now=now + 3) == ([], [])
    _none, late = lookups.turns(now=now + 10)
    assert len(late) == 40 - OTHERS_AT_MOST
    for each in late:
        lookups.ended(each, is_unknown=True, now=now + 10)
    new = Asked("new.test", opened_at=now + 11, deadline=30)
    assert not lookups.may_go(new, now=now + 11)
    assert lookups.turns(now=now + GIVES_UP_SECONDS + 1) == ([new], [])


def test_whoever_shares_a_name_goes_once_it_is_found() -> None:
    lookups = Lookups[Asked]()
    first, second = Asked("one.test"), Asked("one.test")
    assert lookups.may_go(first, now=0)
    assert not lookups.may_go(second, now=0)
    first.has_address = True
    assert lookups.found(now=1) == [second]
    assert lookups.may_go(Asked("one.test"), now=2)
