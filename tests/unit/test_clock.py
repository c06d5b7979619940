"""The time that counts is OpenSearch's, and what is watched is watched by one's own clock."""

import time
from collections.abc import Iterator

import pytest

from service import clock
from service.errors import Gone
from service.listing.cursors import Cursors, Secret
from service.storage.catalog import Entry
from service.storage.watch import Watch


@pytest.fixture(autouse=True)
def unmeasured() -> Iterator[None]:
    kept = clock._offset
    clock._offset = None
    yield
    clock._offset = kept


@pytest.mark.parametrize("ahead", [600, -600, 2 * 86_400, 6, 0.5])
def test_another_time_is_taken(ahead: float) -> None:
    now = time.monotonic()
    assert clock.measured(time.time() - ahead, now, now) == pytest.approx(ahead, abs=0.05)
    assert clock.now() == pytest.approx(time.time() - ahead, abs=0.05)
    assert clock.now_millis() == pytest.approx(clock.now() * 1_000, abs=50)


@pytest.mark.parametrize(("ahead", "took"), [(0.0, 0.0), (0.05, 0.0), (-0.09, 0.0), (3.0, 7.0)])
def test_what_agrees_changes_nothing(ahead: float, took: float) -> None:
    """As well as the measurement can tell, which took a while."""
    now = time.monotonic()
    clock.measured(time.time() - ahead, now - took / 2, now + took / 2)
    assert clock.now() == pytest.approx(time.time(), abs=0.02)


def test_a_clock_that_is_set_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = time.monotonic()
    clock.measured(time.time() - 600, before, before)
    was = clock.now()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 86_400)
    assert clock.now() == pytest.approx(was, abs=0.5)


def test_a_cursor_lives_by_that_time(monkeypatch: pytest.MonkeyPatch) -> None:
    cursors, now, real = Cursors(Secret("secret"), 300), time.monotonic(), time.time
    text = cursors.seal(of="list")
    monkeypatch.setattr(time, "time", lambda: real() + 600)
    clock.measured(real(), now, now)  # as a replica whose clock is ten minutes ahead does
    assert cursors.open(text, "list")["of"] == "list"
    clock.measured(real() + 301, now, now)
    with pytest.raises(Gone):
        cursors.open(text, "list")


def test_a_version_is_watched_by_ones_own_clock() -> None:
    now = [0.0]
    watch = Watch(lambda: now[0])
    one, two = (Entry("a", "turn", "", "a", {}, seq_no, 1) for seq_no in (1, 2))
    assert watch.unchanged(one) == 0
    now[0] = 59.0
    assert watch.unchanged(one) == 59
    assert watch.unchanged(two) == 0
    now[0] = 100.0
    assert watch.unchanged(two) == 41
    assert watch.unchanged(Entry("b", "turn", "", "b", {}, 2, 1)) == 0
