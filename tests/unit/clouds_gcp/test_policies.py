"""The roles that ship, and how they are bound."""

from __future__ import annotations

import re
from pathlib import Path

from dstack_cloud.clouds.gcp import policies

DOCS = Path(__file__).parents[3] / "docs" / "gcp.md"
PERMISSION = re.compile(r"[a-z]+\.[a-zA-Z]+\.[a-zA-Z]+")


def test_roles_are_as_gcloud_takes_them() -> None:
    for name in policies.NAMES:
        role = policies.role(name)
        assert set(role) == {"title", "description", "stage", "includedPermissions"}
        granted = role["includedPermissions"]
        assert granted == sorted(set(granted))
        assert all(PERMISSION.fullmatch(one) for one in granted), granted


def test_a_machine_can_only_end_machines_of_our_name() -> None:
    assert policies.permissions("machine") == ["compute.instances.delete"]
    binding = policies.machine_binding("p", "m@p.iam.gserviceaccount.com")
    assert 'startsWith("dstack-cloud-")' in binding["condition"]["expression"]


def test_a_prefix_is_a_condition() -> None:
    assert "condition" not in policies.store_binding("p", "b", "", ["user:a"])
    expression = policies.store_binding("p", "b", "/team/", ["user:a"])["condition"]["expression"]
    assert '"projects/_/buckets/b/objects/team/"' in expression
    assert "objectListPrefix" in expression


def test_what_others_have_bound_stays() -> None:
    theirs = {"role": "roles/viewer", "members": ["user:eve"]}
    before = {"version": 1, "etag": "x", "bindings": [theirs]}
    wanted = [policies.run_binding("p", ["user:ada"]), policies.machine_binding("p", "m@p")]
    after = policies.merged(before, wanted)
    assert after is not None
    assert (after["version"], after["etag"]) == (3, "x")
    assert theirs in after["bindings"]
    assert policies.merged(after, wanted) is None
    more = policies.merged(after, [policies.run_binding("p", ["user:bob"])])
    assert more is not None
    [run] = [one for one in more["bindings"] if one["role"].endswith("dstackCloudRun")]
    assert run["members"] == ["user:ada", "user:bob"]


def test_a_conditional_binding_is_not_taken_for_one_without() -> None:
    bare = {"bindings": [{"role": "projects/p/roles/dstackCloudMachine", "members": ["x"]}]}
    after = policies.merged(bare, [policies.machine_binding("p", "m@p")])
    assert after is not None
    assert len(after["bindings"]) == 2


def documented() -> dict[str, set[str]]:
    """Permission -> the roles that the table in docs/gcp.md says it is in."""
    found: dict[str, set[str]] = {}
    for line in DOCS.read_text().partition("## Calls and permissions")[2].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 3:
            continue
        resource = ""
        for word in re.findall(r"`([a-zA-Z.]+)`", cells[1]):
            # `.list` is of the resource before it.
            permission = resource + word if word.startswith(".") else word
            resource = permission.rpartition(".")[0]
            found.setdefault(permission, set()).update(re.findall(r"\w+", cells[2]))
    return found


def test_the_table_in_the_docs_is_the_roles() -> None:
    shipped: dict[str, set[str]] = {}
    for name in policies.NAMES:
        for permission in policies.permissions(name):
            shipped.setdefault(permission, set()).add(name)
    assert documented() == shipped
