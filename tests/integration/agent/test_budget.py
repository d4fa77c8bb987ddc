"""max_cost, kept on the machine: the price as the cloud tells it, and the end with nobody there."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dstack_cloud.machine.agent.budget import age_at_start, moved, spent
from dstack_cloud.machine.agent.ec2 import spot_prices
from dstack_cloud.machine.job import ArtifactSpec
from dstack_cloud.units import format_time, parse_time, utc_now

if TYPE_CHECKING:
    from conftest import Host

SAVES = """python3 -c "
import os, signal, sys, time
def save(*_):
    open('output/last', 'w').write('saved')
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print('training', flush=True)
while True: time.sleep(60)
" """
OUTPUT = [ArtifactSpec("output")]


def stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + seconds))


@pytest.fixture
def ec2() -> Iterator[tuple[str, list[tuple[str, str]], list[dict[str, list[str]]]]]:
    """EC2's answer about spot prices: the rows that a test puts there; what was asked."""
    rows: list[tuple[str, str]] = []
    asked: list[dict[str, list[str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            items = "".join(
                "<item><instanceType>g4dn.xlarge</instanceType><productDescription>Linux/UNIX"
                f"</productDescription><spotPrice>{price}</spotPrice><timestamp>{at}</timestamp>"
                "<availabilityZone>us-east-1c</availabilityZone></item>"
                for price, at in rows
            )
            body = f"<R><spotPriceHistorySet>{items}</spotPriceHistorySet></R>".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", rows, asked
    server.shutdown()
    server.server_close()


def test_the_budget_ends_the_run_and_saves_its_work(host: Host) -> None:
    # A cent an hour and second: grace and saving are 31 cents, the first minute 60.
    host.start(
        "mkdir output",
        SAVES,
        artifacts=OUTPUT,
        grace=1,
        price="36",
        max_cost="0.95",
    )
    end = host.end()
    assert (end.state, end.reason) == ("failed", "max_cost")
    assert end.message == "the run reached its max_cost of 0.95 USD"
    assert host.read("artifacts/train-7/output/last") == b"saved"
    assert host.stored("index/") == ["index/failed/train-7"]


def test_a_budget_that_is_spent_already(host: Host) -> None:
    host.start("echo never", price="37", max_cost="0.3")
    follower = host.follow()
    follower.rest()
    assert follower.end is not None
    assert follower.end["reason"] == "max_cost"


def test_a_price_that_rose(
    host: Host, ec2: tuple[str, list[tuple[str, str]], list[dict[str, list[str]]]]
) -> None:
    """At the price of the launch the budget would last for a day."""
    endpoint, rows, asked = ec2
    rows += [("360.0", stamp(-100)), ("0.01", stamp(-4000))]
    host.environment.update(AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing")
    host.start(
        "mkdir output",
        SAVES,
        artifacts=OUTPUT,
        price="0.02",
        max_cost="11",
        asks="aws",
        endpoints={"ec2": endpoint},
        machine_record={
            "machine": "g4dn.xlarge",
            "zone": "us-east-1c",
            "spot": True,
            "price": "0.01",
            "launched_at": format_time(parse_time(stamp(-200))),
        },
    )
    assert host.end().reason == "max_cost"
    assert asked[0]["InstanceType.1"] == ["g4dn.xlarge"]
    assert asked[0]["AvailabilityZone"] == ["us-east-1c"]


def test_prices_are_read_in_order(
    ec2: tuple[str, list[tuple[str, str]], list[dict[str, list[str]]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    endpoint, rows, _ = ec2
    rows += [("0.2", "2026-01-01T01:00:00.000Z"), ("0.1000", "2026-01-01T00:00:00.000Z")]
    job = {
        "region": "us-east-1",
        "endpoints": {"ec2": endpoint},
        "machine_record": {"machine": "m5.large", "zone": "us-east-1a"},
    }
    assert spot_prices(job, 0.0) == [
        (1767225600.0, Decimal("0.1000")),
        (1767229200.0, Decimal("0.2")),
    ]


def test_what_is_moved_counts(host: Host) -> None:
    """By time alone the budget would last for a day: 4 MB of log at a thousand dollars a GiB do
    not."""
    host.start(
        'python3 -c \'import time; print("x" * 99 + "\\n", flush=True);'
        ' print(("x" * 99 + "\\n") * 40000, flush=True); time.sleep(600)\'',
        grace=1,
        price="0.01",
        max_cost="2",
        transfer={"sent": "1000", "received": "0", "log": "1000"},
    )
    end = host.end()
    assert end.reason == "max_cost"
    told = json.loads(host.read("runs/train-7/attempts/1/end.json"))
    assert told["traffic"]["sent"] >= told["log_bytes"] >= 4000000


def test_what_moving_costs() -> None:
    gib = 1 << 30
    prices = {"sent": "0.02", "received": "0.1", "log": "0.09"}
    found = moved(prices, {"sent": 3 * gib, "received": gib, "region": "x"}, 2 * gib)
    assert found == Decimal("0.34")
    assert moved({}, {}, gib) == 0


def test_what_was_spent() -> None:
    hour = 3600.0
    assert spent([(0, Decimal(2))], Decimal(0), hour) == 2
    assert spent([(0, Decimal(2))], Decimal("0.5"), hour) == Decimal("2.5")
    # A price from before the launch, one that came half way.
    assert spent([(-hour, Decimal(2)), (hour / 2, Decimal(4))], Decimal(0), hour) == 3
    # A minute is billed at least.
    assert spent([(0, Decimal(60))], Decimal(0), 1) == 1


@given(
    prices=st.lists(
        st.tuples(st.integers(-5000, 9000), st.integers(0, 50)), min_size=1, max_size=6
    ),
    seconds=st.integers(0, 9000),
    more=st.integers(0, 5000),
)
def test_a_bill_only_grows_and_keeps_within_its_prices(
    prices: list[tuple[int, int]], seconds: int, more: int
) -> None:
    rows = sorted((float(at), Decimal(price)) for at, price in prices)
    now = spent(rows, Decimal(0), seconds)
    assert spent(rows, Decimal(0), seconds + more) >= now
    highest = max(price for _, price in rows)
    assert now <= highest * max(seconds, 60) / 3600


def test_clocks_that_differ_make_nobody_poor() -> None:
    launched = format_time(utc_now())
    now = parse_time(launched).timestamp()
    job = {"machine_record": {"launched_at": launched}}
    assert age_at_start(job, launched, now + 100) == 100
    # Behind, or far ahead of the cloud's: at least since the agent began, at most the uptime.
    assert age_at_start(job, launched, now - 500) == 0
    assert age_at_start(job, stamp(10**9), now + 10**9) < 10**8
    assert age_at_start({"machine_record": {}}, launched, now + 5) == 5
