"""Several clients that start at once on a fresh cache can all write to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# Each opens the catalog, says so, and writes only when all have it open.
CLIENT = """
import sys
from dstack_cloud.catalog.load import connect
database = connect("aws", "somebody")
print("open", flush=True)
sys.stdin.readline()
with database:
    database.execute("INSERT OR REPLACE INTO meta VALUES (?, 'x')", (sys.argv[1],))
"""


def test_clients_that_start_at_once(tmp_path: Path) -> None:
    environ = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", CLIENT, f"client-{number}"],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for client in clients:
        assert client.stdout is not None
        assert client.stdout.readline() == "open\n"
    for client in clients:
        _, problem = client.communicate("go\n", timeout=60)
        assert client.returncode == 0, problem
    assert [path.suffix for path in sorted((tmp_path / "dstack-cloud").iterdir())] == [
        ".sqlite",
        ".lock",
    ]
