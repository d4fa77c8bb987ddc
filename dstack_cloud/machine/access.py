"""How a container finds the credentials that the agent serves to it: by the SDKs' own variables.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
https://googleapis.dev/python/google-auth/latest/reference/google.auth.environment_vars.html
"""

from __future__ import annotations

from collections.abc import Mapping
from secrets import token_urlsafe

from dstack_cloud.workflow.access import cloud_of

# Where every SDK of AWS looks, given no more than a path: the address that ECS has made theirs.
# The agent has it, too (`agent/access_server.py`).
ADDRESS = "169.254.170.2"
AWS_PATH = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"


def container_variables(access: str | None) -> Mapping[str, str]:
    """Variables of the container for a role or service account, none for None.

    The path on AWS is a secret of the attempt: who does not know it gets nothing.
    """
    if access is None:
        return {}
    if cloud_of(access) == "aws":
        return {AWS_PATH: f"/dstack/{token_urlsafe(24)}"}
    # Three names for the same: libraries of Python, of Go and of Java, and gcloud.
    return dict.fromkeys(("GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT"), ADDRESS)
