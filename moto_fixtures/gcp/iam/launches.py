"""What a launch needs: more than one permission, on more than one resource.

cloud.google.com/compute/docs/reference/rest/v1/instances/insert#iam-permissions lists them by the
fields that call for them; cloud.google.com/compute/docs/instances/multiple/create-in-bulk says
that bulk creation needs the same. Names of what does not exist yet are what a condition on
``resource.name`` sees.
"""

from __future__ import annotations

from moto_fixtures.gcp.catalog.places import ZONES
from moto_fixtures.gcp.compute import networks
from moto_fixtures.gcp.compute.placement import policy_path
from moto_fixtures.gcp.compute.resource import instance_path
from moto_fixtures.gcp.compute.spec import Asked
from moto_fixtures.gcp.project import PROJECT

SOURCE = "https://cloud.google.com/compute/docs/reference/rest/v1/instances/insert"


def needs(asked: Asked) -> list[tuple[str, str]]:
    """Permissions and resources; in the zone that is tried first."""
    zone = asked.choices[0].zone
    properties = asked.properties
    found: list[tuple[str, str]] = []
    for name in asked.names:
        path = instance_path(zone, name)
        disk = f"projects/{PROJECT}/zones/{zone}/disks/{name}"
        found.append(("compute.instances.create", path))
        found.append(("compute.disks.create", disk))
        if properties.get("labels"):
            found.append(("compute.instances.setLabels", path))
        if (properties.get("metadata") or {}).get("items"):
            found.append(("compute.instances.setMetadata", path))
        if (properties.get("tags") or {}).get("items"):
            found.append(("compute.instances.setTags", path))
        if properties.get("serviceAccounts"):
            found.append(("compute.instances.setServiceAccount", path))
        if any((d.get("initializeParams") or {}).get("labels") for d in properties["disks"]):
            found.append(("compute.disks.setLabels", disk))
    if asked.image.project == PROJECT:
        found.append(("compute.images.useReadOnly", asked.image.path))
    subnetwork = networks.subnetwork_path(ZONES[zone])
    found.append(("compute.subnetworks.use", subnetwork))
    found += [
        ("compute.resourcePolicies.use", policy_path(ZONES[zone], name))
        for name in properties.get("resourcePolicies") or []
    ]
    if any(one.get("accessConfigs") for one in properties["networkInterfaces"]):
        found.append(("compute.subnetworks.useExternalIp", subnetwork))
    for account in properties.get("serviceAccounts") or []:
        target = f"projects/{PROJECT}/serviceAccounts/{account['email']}"
        found.append(("iam.serviceAccounts.actAs", target))
    return found
