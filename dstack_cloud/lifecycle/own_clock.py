"""A run's moments by this client's clock, whoever submitted it: the store's clock stands between.

`retry.within` and a deadline are counted from the submission. The client that submitted may have
had a wrong clock, and the one that goes on with the run may have: the difference must not make a
run that is to go on end, nor one go on that should have ended.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from dstack_cloud.lifecycle.record import RunRecord
from dstack_cloud.state import ages, keys
from dstack_cloud.storage.base import Store
from dstack_cloud.units import format_time, parse_time, utc_now


def by_own_clock(store: Store, record: RunRecord) -> RunRecord:
    """The record as this client would have written it, where a limit is counted from its moments;
    any other is left as it is, and the store is not asked. Raises what the store raises."""
    if record.deadline is None and (record.retry is None or record.retry.within is None):
        return record
    age = ages.age(store, record.run, [keys.run(record.run)])
    if age is None:
        return record
    submitted_at = utc_now() - timedelta(seconds=age)
    ahead = submitted_at - parse_time(record.submitted_at)
    deadline = record.deadline and format_time(parse_time(record.deadline) + ahead)
    return replace(record, submitted_at=format_time(submitted_at), deadline=deadline)
