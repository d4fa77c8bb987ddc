"""How long each cloud takes to answer, and to know what it has made, so that nobody waits in vain.

AWS answers an instant fleet with the machine, within two or three seconds. Google's ``bulkInsert``
is an operation that is done when the machine has been made, or when the last of its zones has said
no: ten seconds and more are usual, and a second region asked too early means two machines.

AWS may not list a machine in the first moments after its launch, and lists one that has ended for
long. Google knows a machine once the operation that made it is done, and not once it is deleted.
"""

from __future__ import annotations

from datetime import timedelta

_ANSWERS_WITHIN_S = {"aws": 5.0, "gcp": 20.0}


# The reader's clock may be minutes off.
_KNOWN_WITHIN = {"gcp": timedelta(0)}


def known_within(cloud: str) -> timedelta:
    """After a launch, the time in which a machine that is there may be unknown to its cloud."""
    return _KNOWN_WITHIN.get(cloud, timedelta(minutes=5))


def answers_within(cloud: str) -> float:
    """Seconds after which a region that has not answered is slow, and the next one is asked."""
    return _ANSWERS_WITHIN_S.get(cloud, 5.0)
