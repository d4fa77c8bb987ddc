"""One line of ``check``."""

from __future__ import annotations

from collections.abc import Callable

from dstack_cloud.clouds.base import Check
from dstack_cloud.errors import DstackError, TryAgainError


def line(name: str, tell: Callable[[], str]) -> Check:
    """The check of that name: fine when ``tell`` says something, else what its error says.

    A passing condition (a throttle, a network) leaves it open.
    """
    try:
        return Check(name, True, tell())
    except TryAgainError as error:
        return Check(name, None, error.message, error.hint)
    except DstackError as error:
        return Check(name, False, error.message, error.hint)
