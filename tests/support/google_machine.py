"""Google's metadata server (the emulated machines' own) for an agent on this machine."""

from __future__ import annotations

from datetime import UTC, datetime

from moto_fixtures.machine.base import GceFacts, MachineSpec
from moto_fixtures.machine.gce_metadata import notice_paths
from moto_fixtures.machine.metadata_server import MetadataServer
from moto_fixtures.machine.served import Served

ADDRESS = "127.0.0.1"


class Google:
    """A machine of Compute Engine, as far as its metadata goes."""

    name = "gcp"

    def __init__(self) -> None:
        self.attributes: dict[str, str] = {}
        self.tokens = 0
        facts = GceFacts("a-machine", "a-project", 123, self.attributes, service_account="a@b")
        spec = MachineSpec(
            id="4711",
            user_data=b"",
            public_ip=False,
            region="us-central1",
            zone="us-central1-b",
            instance_type="g2-standard-4",
            spot=True,
            image="projects/a/global/images/b",
            ready=True,
            gpus=0,
            gpu_name=None,
            facts=facts,
        )
        self.served = Served(spec, ADDRESS, datetime.now(UTC))
        self._server = MetadataServer((ADDRESS, 0), self._token)
        self._server.add(self.served)
        self._server.start()
        self.environment = {"GCE_METADATA_HOST": f"{ADDRESS}:{self._server.server_port}"}

    def announce(self, seconds: float, action: str = "preempted") -> None:
        """Of the seconds that are left, the last thirty are for the shutdown."""
        if action == "preempted" and seconds != 30:
            self.attributes["dstack-cloud-preemption-notice"] = str(seconds - 30)
        self.served.announce(notice_paths(action))

    def _token(self, account: str, machine: str) -> dict[str, object]:
        self.tokens += 1
        return {"access_token": f"token-{self.tokens}", "expires_in": 3599, "token_type": "Bearer"}

    def close(self) -> None:
        self.served.end()
        self._server.close()
