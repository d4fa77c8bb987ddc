"""How long an attempt has been silent, by the client's own clock."""

from __future__ import annotations

from dstack_cloud.lifecycle.cut_off import Silence


def test_any_other_status_is_a_sign_of_life() -> None:
    now = [100.0]
    silence = Silence(lambda: now[0])
    assert silence.seconds({"updated_at": "09:00"}) == 0
    now[0] = 130.0
    assert silence.seconds({"updated_at": "09:00"}) == 30
    # A clock that was set back: still another status.
    assert silence.seconds({"updated_at": "08:00"}) == 0
    now[0] = 150.0
    silence.broken()
    now[0] = 155.0
    assert silence.seconds({"updated_at": "08:00"}) == 5


def test_nothing_in_the_store_is_silence() -> None:
    now = [0.0]
    silence = Silence(lambda: now[0])
    now[0] = 7.0
    assert silence.seconds(None) == 7
