"""What the clouds call by different names: one vocabulary, in which tests ask the emulator.

Each cloud's own words are `WORDS` of `support.emulated_aws` and `support.emulated_gcp`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """``launch`` is the call that asks for machines, as the emulator's log has it."""

    cloud: str
    launch: str


def words_of(environ: Mapping[str, str]) -> Words:
    """The words of the emulated cloud that an environment reaches."""
    if "AWS_ENDPOINT_URL" in environ:
        from support import emulated_aws

        return emulated_aws.WORDS
    from support import emulated_gcp

    return emulated_gcp.WORDS
