"""Client tokens: the same call again gets the same answer, another with the token an error.

docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto_fixtures.aws.answer import Answer, AwsError


@dataclass
class _Seen:
    params: str
    lock: threading.Lock
    answer: Answer | None = None


class Tokens:
    """Answers by region, action and token."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str, str], _Seen] = {}

    def once(
        self, region: str, action: str, params: dict[str, Any], execute: Callable[[], Answer]
    ) -> Answer:
        """Execute, or answer as the first call with this token was answered.

        Only what succeeded is remembered: a call that failed may be tried again as it is.
        """
        token = params.get("ClientToken")
        if not token:
            return execute()
        rest = {k: v for k, v in params.items() if k not in ("ClientToken", "DryRun")}
        asked = json.dumps(rest, sort_keys=True, default=str)
        with self._lock:
            seen = self._seen.setdefault(
                (region, action, str(token)), _Seen(asked, threading.Lock())
            )
        with seen.lock:
            if seen.answer is not None:
                if seen.params != asked:
                    raise AwsError(
                        "IdempotentParameterMismatch",
                        f"The client token {token} was used before with different parameters.",
                    )
                return seen.answer
            seen.params = asked
            answer = execute()
            if answer.ok:
                seen.answer = answer
            return answer
