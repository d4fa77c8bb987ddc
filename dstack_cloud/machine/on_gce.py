"""What a machine of Compute Engine is told beyond what every machine is.

A machine there that only powers itself off is stopped: its disk stays, and so does its bill. So
the dead-man timer has it deleted first, with the machine's own service account.
"""

from __future__ import annotations

_COMPUTE = "https://compute.googleapis.com/compute/v1"

# https://github.com/GoogleCloudPlatform/guest-agent (Configuration): at the first boot it makes
# the SSH host keys anew, after cloud-init has put the pinned one in place. It starts later than
# bootcmd: cloud-init is done before the network counts as online.
KEEP_HOST_KEY = """\
printf '[InstanceSetup]\\nset_host_keys = false\\n' >>/etc/default/instance_configs.cfg
"""

# Python is there, since cloud-init is; curl need not be. The token stays in the process's memory.
# One of the requests may hang: the timer's own patience is what counts.
_DELETE = """\
import json, os, time, urllib.request
HOST = os.environ.get("GCE_METADATA_HOST") or "169.254.169.254"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
def ask(url, headers, method="GET"):
    request = urllib.request.Request(url, headers=headers, method=method)
    return OPENER.open(request, timeout=10).read().decode()
def told(path):
    url = "http://%s/computeMetadata/v1/%s" % (HOST, path)
    return ask(url, {"Metadata-Flavor": "Google"})
while True:
    try:
        project, name = told("project/project-id"), told("instance/name")
        zone = told("instance/zone").split("/")[-1]
        token = json.loads(told("instance/service-accounts/default/token"))["access_token"]
        url = "@COMPUTE@/projects/%s/zones/%s/instances/%s" % (project, zone, name)
        ask(url, {"Authorization": "Bearer " + token}, "DELETE")
        break
    except Exception as error:
        print("dstack: the machine is not deleted yet: %s" % error, flush=True)
        time.sleep(3)
"""


def delete_program(compute: str | None) -> str:
    """A Python program that has this very machine deleted, tried until it is. ``compute`` is the
    address of the Compute API where it is not Google's own."""
    return _DELETE.replace("@COMPUTE@", (compute or _COMPUTE).rstrip("/"))
