"""Which image fits, and what a machine's description says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from dstack_cloud.clouds.base import MachineState
from dstack_cloud.clouds.gcp.images import parsed, recipe, starts_slower
from dstack_cloud.clouds.gcp.machines import Reach, as_machine, split_id
from dstack_cloud.errors import InputError
from dstack_cloud.resources import Gpu, Offer
from dstack_cloud.units import GIB

PLACE = "https://compute.googleapis.com/compute/v1/projects/p/zones/us-central1-a"
INSTANCE = {
    "name": "dstack-cloud-train-7-1-0a1b2c3d",
    "zone": PLACE,
    "machineType": f"{PLACE}/machineTypes/g2-standard-4",
    "status": "RUNNING",
    "creationTimestamp": "2026-11-24T04:00:00.000-08:00",
    "scheduling": {"provisioningModel": "SPOT"},
    "disks": [{"boot": True, "diskSizeGb": "140"}],
    "metadata": {
        "items": [
            {"key": "dstack-cloud-run", "value": "train-7"},
            {"key": "dstack-cloud-attempt", "value": "1"},
        ]
    },
    "networkInterfaces": [
        {
            "networkIP": "10.128.0.2",
            "accessConfigs": [{"name": "External NAT", "natIP": "34.1.2.3"}],
        }
    ],
}


def test_images(offer: Callable[..., Offer]) -> None:
    assert recipe(offer()).ready
    assert "nvidia-580" in recipe(offer()).source
    old = recipe(offer("n1-standard-4+1xV100", gpu=Gpu("V100", 1, 16 * GIB)))
    assert (old.ready, old.driver) == (False, "535")
    assert starts_slower(offer("e2-standard-4", gpu=None))
    assert recipe(offer(), "mine/trainer").source == "mine/trainer"


def test_sources() -> None:
    assert parsed("mine/trainer-v2") == ("mine", "trainer-v2", False)
    assert parsed("example.com:mine/family/trainer") == ("example.com:mine", "trainer", True)
    for wrong in ("trainer", "mine/", "mine/a/b", "gs://x/y"):
        with pytest.raises(InputError):
            parsed(wrong)


def test_a_machine() -> None:
    found = as_machine(INSTANCE, Reach())
    assert found.id == "us-central1-a/dstack-cloud-train-7-1-0a1b2c3d"
    assert (found.region, found.zone) == ("us-central1", "us-central1-a")
    assert (found.machine, found.spot, found.run, found.attempt) == (
        "g2-standard-4",
        True,
        "train-7",
        1,
    )
    assert found.address == "34.1.2.3"
    assert found.disk == 140 * GIB
    assert found.launched_at is not None
    assert found.launched_at.hour == 12
    assert as_machine(INSTANCE, Reach(jump_host="bastion")).address == "10.128.0.2"


def test_gpus_that_are_attached_are_in_the_catalogs_name() -> None:
    attached = {
        "machineType": f"{PLACE}/machineTypes/n1-standard-8",
        "guestAccelerators": [
            {"acceleratorType": f"{PLACE}/acceleratorTypes/nvidia-tesla-t4", "acceleratorCount": 2}
        ],
    }
    assert as_machine({**INSTANCE, **attached}, Reach()).machine == "n1-standard-8+2xT4"
    built_in = {"guestAccelerators": [{"acceleratorType": "nvidia-l4", "acceleratorCount": 1}]}
    assert as_machine({**INSTANCE, **built_in}, Reach()).machine == "g2-standard-4"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("STAGING", MachineState.STARTING),
        ("STOPPING", MachineState.ENDING),
        # Its disk is on the bill.
        ("TERMINATED", MachineState.STOPPED),
    ],
)
def test_its_state(status: str, state: MachineState) -> None:
    assert as_machine({**INSTANCE, "status": status}, Reach()).state is state


def test_ids_of_other_clouds_are_none() -> None:
    assert split_id("i-0123456789abcdef0") is None
    assert split_id("us-central1-a/name") == ("us-central1-a", "name")


def test_when_a_stopped_machine_went_off_the_bill() -> None:
    stopped = {**INSTANCE, "lastStopTimestamp": "2026-01-31T01:05:00.000-08:00"}
    assert as_machine(stopped, Reach()).ended_at is None
    found = as_machine({**stopped, "status": "TERMINATED"}, Reach()).ended_at
    assert found == datetime(2026, 1, 31, 9, 5, tzinfo=UTC)
