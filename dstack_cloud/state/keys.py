"""Names of the objects in the store: pure, in one place.

runs/<run>/run.json                          written once, by who submits
runs/<run>/clock                             empty; when it was written is the store's time
runs/<run>/stop.json                         {"abort": bool, ...}, by who stops
runs/<run>/clients/<fingerprint>.pub         public key of a client that joined
runs/<run>/attempts/<n>/intent.json          create-only: who holds it owns the attempt
runs/<run>/attempts/<n>/lease.json           that its client lives, while it launches
runs/<run>/attempts/<n>/machine.json         the machine and its public host key
runs/<run>/attempts/<n>/status.json          the agent's last word while it works
runs/<run>/attempts/<n>/move.json            the request to go on elsewhere, by who follows
runs/<run>/attempts/<n>/end.json             create-only: how the attempt ended
runs/<run>/attempts/<n>/late.json            machines that came when another one was there already
runs/<run>/attempts/<n>/log/<first byte, 20 digits>
runs/<run>/attempts/<n>/failure.json         create-only: how the first node failed, of several
runs/<run>/attempts/<n>/nodes/<k>/…          node k's machine, status, end and log; node 0's are
                                             the attempt's own
index/<state>/<run>                          empty; the state is in the name
index/deleted/<run>                          empty; its name is not given again
artifacts/<run>/<path>                       as the container left them
artifacts/<run>/node-<k>/<path>              as that of node k left them, of several
artifacts/:<tag>:<8 hex>/<path>              local files that were tagged
artifacts/<cloud>:<source>/<path>            brought over from that cloud's store
copies/<cloud>/<source>                      empty; when such a copy was last wanted
tags/<tag>.json                              create-only: what the tag stands for
code/<sha256>.tar.gz                         the user's code, once per content
capacity/<cloud>/<region>/<zone>/<machine>/<market>/<until>
                                             empty; what was not to be had a while ago
spells/<cloud>/<day>/<region>/<zone>/<machine>/<minutes>/<kept|taken>/<run>-<n>
                                             empty; how long a spot machine lasted
"""

from __future__ import annotations

import re

TAG_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
TAG_NAME_WORDS = "up to 63 letters, digits, dots, hyphens and underscores, a letter or digit first"


def run(name: str) -> str:
    return f"runs/{name}/run.json"


def stop(name: str) -> str:
    return f"runs/{name}/stop.json"


def clock(name: str) -> str:
    return f"runs/{name}/clock"


def clients(name: str) -> str:
    return f"runs/{name}/clients/"


def client(name: str, fingerprint: str) -> str:
    # A fingerprint is base64 and may hold a slash, which would make it two path segments.
    return f"{clients(name)}{fingerprint.replace('/', '_').replace('+', '-')}.pub"


def attempts(name: str) -> str:
    return f"runs/{name}/attempts/"


def attempt(name: str, number: int, node: int = 0) -> str:
    """The folder of an attempt, or of one of its other machines."""
    return f"{attempts(name)}{number}/" + (f"nodes/{node}/" if node else "")


def intent(name: str, number: int) -> str:
    return f"{attempt(name, number)}intent.json"


def lease(name: str, number: int) -> str:
    return f"{attempt(name, number)}lease.json"


def machine(name: str, number: int, node: int = 0) -> str:
    return f"{attempt(name, number, node)}machine.json"


def status(name: str, number: int, node: int = 0) -> str:
    return f"{attempt(name, number, node)}status.json"


def failure(name: str, number: int) -> str:
    return f"{attempt(name, number)}failure.json"


def move(name: str, number: int) -> str:
    return f"{attempt(name, number)}move.json"


def end(name: str, number: int, node: int = 0) -> str:
    return f"{attempt(name, number, node)}end.json"


def late(name: str, number: int) -> str:
    return f"{attempt(name, number)}late.json"


def log(name: str, number: int, node: int = 0) -> str:
    return f"{attempt(name, number, node)}log/"


def log_segment(name: str, number: int, first_byte: int, node: int = 0) -> str:
    return f"{log(name, number, node)}{first_byte:020d}"


def index(state: str, name: str = "") -> str:
    return f"index/{state}/{name}"


def runs(name: str) -> str:
    """All that is on record of a run, but for its place in the index."""
    return f"runs/{name}/"


def artifacts(name: str) -> str:
    return f"artifacts/{name}/"


def copies() -> str:
    return "copies/"


def copy(cloud: str, source: str) -> str:
    return f"{copies()}{cloud}/{source}"


def tag(name: str = "") -> str:
    return f"tags/{name}.json" if name else "tags/"


def code(sha256: str) -> str:
    return f"code/{sha256}.tar.gz"


def shortages(cloud: str) -> str:
    return f"capacity/{cloud}/"


def shortage(cloud: str, region: str, zone: str, machine: str, market: str, until: int) -> str:
    return f"{shortages(cloud)}{region}/{zone}/{machine}/{market}/{until:012d}"


def spells(cloud: str) -> str:
    return f"spells/{cloud}/"


def spell(cloud: str, day: int, pool: tuple[str, str, str], minutes: int, how: str) -> str:
    """``how`` is ``<kept|taken>/<run>-<attempt>``."""
    return f"{spells(cloud)}{day:06d}/{'/'.join(pool)}/{minutes}/{how}"
