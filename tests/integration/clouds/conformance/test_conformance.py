"""What the life of a run relies on, of every cloud."""

from __future__ import annotations

from typing import Any

from dstack_cloud.clouds.base import FailureKind, LaunchRequest, MachineState


def request(subject: Any, run: str, **more: Any) -> LaunchRequest:
    given = {
        "attempt": 1,
        "token": f"{run}-1",
        "user_data": lambda image: b"#cloud-config\n",
        "owner": "ada@host",
        **more,
    }
    return LaunchRequest(run=run, offers=subject.offers, **given)


def test_a_launch_gives_a_machine_of_an_offer(subject: Any, run: str) -> None:
    answer = subject.cloud.launch(request(subject, run))
    machine = answer.machine
    assert machine is not None
    assert machine.cloud == subject.cloud.name
    assert machine.region == subject.region
    assert machine.machine in {offer.machine for offer in subject.offers}
    assert (machine.run, machine.attempt) == (run, 1)
    assert machine.price == subject.offers[0].price
    assert machine.state in (MachineState.STARTING, MachineState.RUNNING)


def test_it_is_found_again_by_id_and_by_run(subject: Any, run: str) -> None:
    cloud, region = subject.cloud, subject.region
    machine = cloud.launch(request(subject, run)).machine
    other = cloud.launch(request(subject, f"{run}-other", attempt=2)).machine
    now = cloud.machine(region, machine.id)
    assert (now.id, now.run, now.attempt) == (machine.id, run, 1)
    assert now.address
    assert [one.id for one in cloud.machines(region, run)] == [machine.id]
    assert {one.id for one in cloud.machines(region)} == {machine.id, other.id}


def test_a_repeated_launch_is_one_machine(subject: Any, run: str) -> None:
    asked = request(subject, run)
    first = subject.cloud.launch(asked).machine
    second = subject.cloud.launch(asked).machine
    assert first.id == second.id
    assert len(subject.cloud.machines(subject.region, run)) == 1


def test_another_token_is_another_machine(subject: Any, run: str) -> None:
    first = subject.cloud.launch(request(subject, run)).machine
    second = subject.cloud.launch(request(subject, run, token=f"{run}-again")).machine
    assert first.id != second.id


def test_no_capacity_is_an_answer_with_reasons(subject: Any, run: str) -> None:
    subject.exhaust()
    answer = subject.cloud.launch(request(subject, run))
    assert answer.machine is None
    assert {failure.kind for failure in answer.failures} == {FailureKind.CAPACITY}
    assert {failure.offer for failure in answer.failures} == set(subject.offers)
    assert all(failure.code and failure.message for failure in answer.failures)
    assert subject.cloud.machines(subject.region, run) == []
    leftovers = subject.cloud.leftovers(subject.region)
    assert [one for one in leftovers if one.run is not None] == []


def test_terminated_is_gone_and_may_be_repeated(subject: Any, run: str) -> None:
    cloud, region = subject.cloud, subject.region
    machine = cloud.launch(request(subject, run)).machine
    cloud.terminate(region, [machine.id])
    cloud.terminate(region, [machine.id])
    subject.settle()
    now = cloud.machine(region, machine.id)
    assert now is None or now.state is MachineState.GONE
    assert cloud.machines(region, run) == []


def test_an_unknown_machine_is_none(subject: Any) -> None:
    assert subject.cloud.machine(subject.region, "i-0123456789abcdef0") is None


def test_nothing_to_terminate_is_fine(subject: Any) -> None:
    subject.cloud.terminate(subject.region, [])


def test_one_unknown_id_does_not_save_the_others(subject: Any, run: str) -> None:
    machine = subject.cloud.launch(request(subject, run)).machine
    subject.cloud.terminate(subject.region, ["i-0123456789abcdef0", machine.id])
    subject.settle()
    assert subject.cloud.machines(subject.region, run) == []


def test_admitting_twice_is_fine(subject: Any, run: str) -> None:
    machine = subject.cloud.launch(request(subject, run)).machine
    subject.cloud.admit(machine)
    subject.cloud.admit(machine)


def test_a_machine_is_among_the_leftovers_and_can_be_removed(subject: Any, run: str) -> None:
    machine = subject.cloud.launch(request(subject, run)).machine
    [found] = [one for one in subject.cloud.leftovers(subject.region) if one.run == run]
    assert (found.kind, found.id, found.attempt) == ("machine", machine.id, 1)
    subject.cloud.remove(found)
    subject.cloud.remove(found)
    subject.settle()
    assert subject.cloud.machines(subject.region, run) == []


def test_check_has_something_to_say_on_everything(subject: Any) -> None:
    found = list(subject.cloud.check(subject.region))
    assert found[0].name == "credentials"
    assert [one for one in found if one.ok is False] == []
    assert all(one.name and one.detail for one in found)
