"""How the emulated Google Cloud is started and reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from moto_fixtures.gcp.bootstrap import DAILY
from moto_fixtures.gcp.iam.accounts import email_of
from moto_fixtures.gcp.project import PROJECT, REGION

SERVER = "moto_fixtures.gcp.server"
SCHEME = "gs"
PORTS = ("--port", "--storage-port")
_APIS = (
    "CLOUDBILLING",
    "CLOUDRESOURCEMANAGER",
    "IAM",
    "IAMCREDENTIALS",
    "SECRETMANAGER",
    "SERVICEUSAGE",
)
_OVERRIDE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_"


def values(endpoints: list[str], key: dict[str, Any], state: Path, user: str) -> dict[str, str]:
    """What to export to work as the user that has this key file, which is written here."""
    file = state / f"{user}.json"
    file.touch(0o600)
    file.write_text(json.dumps(key, indent=2) + "\n")
    api, storage = endpoints
    return {
        f"{_OVERRIDE}COMPUTE": f"{api}/compute/v1/",
        **{f"{_OVERRIDE}{name}": f"{api}/" for name in _APIS},
        "STORAGE_EMULATOR_HOST": storage,
        "GOOGLE_APPLICATION_CREDENTIALS": str(file),
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "CLOUDSDK_CORE_PROJECT": PROJECT,
    }


def init_words(store: str) -> list[str]:
    """The options of the product's ``init``."""
    words = ["--cloud", "gcp", "--store", store, "--region", REGION, "--project", PROJECT]
    return [*words, "--member", f"serviceAccount:{email_of(DAILY)}"]
