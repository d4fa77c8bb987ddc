"""How long each cloud takes to answer a request for a machine, so that nobody waits in vain.

AWS answers an instant fleet with the machine, within two or three seconds. Google's ``bulkInsert``
is an operation that is done when the machine has been made, or when the last of its zones has said
no: ten seconds and more are usual, and a second region asked too early means two machines.
"""

from __future__ import annotations

_ANSWERS_WITHIN_S = {"aws": 5.0, "gcp": 20.0}


def answers_within(cloud: str) -> float:
    """Seconds after which a region that has not answered is slow, and the next one is asked."""
    return _ANSWERS_WITHIN_S.get(cloud, 5.0)
