"""EC2, as a machine of its own asks it: its end, the price that it runs at, its notices.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
and .../rebalance-recommendations.html
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from .aws_call import query
from .cloud import Cloud, Look, Notice
from .credentials import CredentialSource
from .metadata import Metadata
from .times import unix

_PRICE = re.compile(
    r"<item>(?:(?!</item>).)*?<spotPrice>([0-9.]+)</spotPrice>"
    r"(?:(?!</item>).)*?<timestamp>([^<]+)</timestamp>",
    re.DOTALL,
)

_EVERY = 1.0
# Two minutes are what AWS gives; after an early warning, too, it is better not to take longer.
_NOTICE = 120.0
# The clocks disagree, or the agent came late: then there is little time.
_LATE = 30.0


class Ec2(Cloud):
    def end(self) -> None:
        terminate(self._job)

    def spot_prices(self, since: float) -> list[tuple[float, Decimal]]:
        return spot_prices(self._job, since)

    def looks(self) -> list[Look]:
        metadata = Metadata()
        early = "rebalance" in (self._job["retry"] or {"on": ()})["on"]

        def look() -> Notice | None:
            # It cannot be asked to wait.
            time.sleep(_EVERY)
            found = metadata.get("meta-data/spot/instance-action")
            if found:
                told = json.loads(found)
                left = unix(told["time"]) - time.time()
                return Notice(str(told["action"]), min(left, _NOTICE) if left > 0 else _LATE)
            if early and metadata.get("meta-data/events/recommendations/rebalance"):
                return Notice("rebalance", _NOTICE)
            return None

        return [look]


def _call(
    job: Mapping[str, Any], parameters: Mapping[str, str], source: CredentialSource | None
) -> str:
    """One call. StoreError if it is refused, or there is no answer."""
    return query("ec2", job, {**parameters, "Version": "2016-11-15"}, source)


def terminate(job: Mapping[str, Any], source: CredentialSource | None = None) -> None:
    """TerminateInstances on this very machine. StoreError if refused."""
    _call(job, {"Action": "TerminateInstances", "InstanceId.1": job["machine"]}, source)


def spot_prices(
    job: Mapping[str, Any], since: float, source: CredentialSource | None = None
) -> list[tuple[float, Decimal]]:
    """The spot price of this machine's type in its zone since that moment (seconds since 1970):
    moments and USD an hour, the earliest first. StoreError if refused."""
    record = job["machine_record"]
    answer = _call(
        job,
        {
            "Action": "DescribeSpotPriceHistory",
            "InstanceType.1": str(record["machine"]),
            "AvailabilityZone": str(record["zone"]),
            "ProductDescription.1": "Linux/UNIX",
            "StartTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since)),
        },
        source,
    )
    return sorted((unix(when), Decimal(price)) for price, when in _PRICE.findall(answer))
