"""By hand on AWS: awscli."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support import ROOT

NAME = "aws"
SPOT_PRICES_MOVE = True
"""Whether they may be another within the day."""
STARTS = ("launched", "asked")
"""The marks of the script before which its client was started once more."""
_IMAGE = (
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
)


def client() -> list[str]:
    """A command that only starts the client."""
    return [str(_program()), "--version"]


def prepare(env: Mapping[str, str], key: Path) -> dict[str, str]:
    """The script's environment: ids of the image and the group, and a key pair at AWS."""
    # The daily user may launch with our tags alone, so the script has the root key.
    admin = {"AWS_ACCESS_KEY_ID": "admin", "AWS_SECRET_ACCESS_KEY": "admin"}
    mine = {**env, **admin, "PATH": f"{_program().parent}:{env['PATH']}"}
    public = f"fileb://{key}.pub"
    _aws(mine, "ec2", "import-key-pair", "--key-name", "bench", "--public-key-material", public)
    names = ["--filters", "Name=group-name,Values=dstack-cloud"]
    group = _aws(mine, "ec2", "describe-security-groups", *names)["SecurityGroups"][0]["GroupId"]
    image = _aws(mine, "ssm", "get-parameter", "--name", _IMAGE)["Parameter"]["Value"]
    found = {"IMAGE": image, "TYPE": "g4dn.xlarge", "KEY": "bench", "GROUP": group}
    return {**mine, **found, "KEY_FILE": str(key)}


def end(env: Mapping[str, str], machine: Mapping[str, Any]) -> None:
    """Terminate a machine of the emulator's listing."""
    _aws(env, "ec2", "terminate-instances", "--instance-ids", machine["id"])


def _aws(env: Mapping[str, str], *words: str) -> Any:
    argv = ["aws", *words, "--output", "json"]
    done = subprocess.run(argv, env=env, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout) if done.stdout.strip() else None


def _program() -> Path:
    sys.path.insert(0, str(ROOT))
    from moto_fixtures.awscli import program

    return program()
