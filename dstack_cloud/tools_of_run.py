"""From a run's name to the cloud that has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dstack_cloud import wiring
from dstack_cloud.config import Config
from dstack_cloud.errors import DstackError, NotFoundError
from dstack_cloud.nearest import did_you_mean

if TYPE_CHECKING:
    from dstack_cloud.lifecycle.report import Reporter
    from dstack_cloud.lifecycle.tools import Tools


def tools_of_run(config: Config, run: str, report: Reporter, apart: bool = False) -> Tools:
    """The tools of the cloud whose store holds the run; ``apart`` as in `wiring.open_tools`.

    Raises NotFoundError with near names; where a store could not be read and no other has the
    run, what that store raised.
    """
    from dstack_cloud.state import keys

    names: list[str] = []
    failed: DstackError | None = None
    for name in wiring.configured(config):
        if apart:
            wiring.warm_up(config, name)
        try:
            store = wiring.open_store_of(config, name)
            if store.get(keys.run(run)) is not None:
                return wiring.open_tools(config, name, report, apart)
            names += [info.key.rsplit("/", 1)[1] for info in store.list("index/")]
        except DstackError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    raise NotFoundError(
        f"there is no run '{run}'{did_you_mean(run, names)}", "dstack-cloud ps --all lists them"
    )
