"""From a run's or a tag's name to the store that has it, where nothing but the store is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dstack_cloud import wiring
from dstack_cloud.config import Config
from dstack_cloud.errors import DstackError, NotFoundError

if TYPE_CHECKING:
    from dstack_cloud.storage.base import Store


def store_of_run(config: Config, run: str, cloud: str | None = None) -> tuple[str, Store]:
    """The cloud and store of a run, one whose deletion was cut off included. NotFoundError with
    near names; where a store could not be read and no other has the run, what it raised."""
    from dstack_cloud.state.runs import find_run

    return _first(config, cloud, lambda store: find_run(store, run))


def store_of_tag(config: Config, tag: str, cloud: str | None = None) -> tuple[str, Store]:
    """The cloud and store that have a tag; errors as `store_of_run`."""
    from dstack_cloud.state import tags

    return _first(config, cloud, lambda store: tags.read(store, tag))


def store_of_source(config: Config, name: str) -> tuple[str, Store]:
    """What ``RUN`` or ``:TAG`` means: where its files are below ``artifacts/``, and the store."""
    from dstack_cloud.state import tags

    if not name.startswith(":"):
        return name, store_of_run(config, name)[1]
    store = store_of_tag(config, name[1:])[1]
    return tags.read(store, name[1:]).source, store


def _first(config: Config, cloud: str | None, ask: Callable[[Store], object]) -> tuple[str, Store]:
    """The first store of those configured (or of ``cloud``) that has it."""
    missing: NotFoundError | None = None
    failed: DstackError | None = None
    for name in [cloud] if cloud else wiring.configured(config):
        try:
            store = wiring.open_store_of(config, name)
            ask(store)
            return name, store
        except NotFoundError as error:
            missing = missing or error
        except DstackError as error:
            failed = failed or error
    if failed or missing:
        raise failed or missing  # type: ignore[misc]
    raise NotFoundError(
        "no cloud is configured, so there is none that could have it",
        "dstack-cloud init sets one up; --cloud local needs nothing",
    )
