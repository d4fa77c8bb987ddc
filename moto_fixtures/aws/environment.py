"""How the emulated AWS is started and reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SERVER = "moto_fixtures.aws.server"
SCHEME = "s3"
PORTS = ("--port",)
REGION = "us-east-1"


def values(endpoints: list[str], key: dict[str, Any], state: Path, user: str) -> dict[str, str]:
    """What to export to work as the user that has this access key."""
    return {
        "AWS_ENDPOINT_URL": endpoints[0],
        "AWS_ACCESS_KEY_ID": key["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": key["secret_access_key"],
        "AWS_DEFAULT_REGION": REGION,
    }


def init_words(store: str) -> list[str]:
    """The options of the product's ``init``."""
    return ["--cloud", "aws", "--store", store, "--region", REGION]
