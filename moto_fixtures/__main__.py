"""``python -m moto_fixtures up|down|status``: an emulated cloud, started and taken away."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from moto_fixtures.machine.shell import FixtureError


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0; 1 when the host does not let it work, or ``status`` finds it down."""
    options = _parser().parse_args(argv)
    try:
        if options.verb == "up":
            from moto_fixtures.up import up

            sys.stdout.write(up(options.name, cloud=options.cloud, stub=options.stub))
        elif options.verb == "status":
            from moto_fixtures.up import status

            running, text = status(options.name)
            sys.stdout.write(text)
            return 0 if running else 1
        else:
            from moto_fixtures.down import down, down_all

            if options.all:
                down_all()
            else:
                down(options.name)
    except FixtureError as error:
        print(f"moto_fixtures: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m moto_fixtures", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="start it; prints `export NAME='VALUE'` lines, for eval")
    up.add_argument("--cloud", choices=("aws", "gcp"), default="aws", help="which one")
    up.add_argument("--stub", action="store_true", help="machines without containers: no Docker")
    down = verbs.add_parser("down", help="take every trace of it away")
    down.add_argument(
        "--all", action="store_true", help="every emulator, and the images and caches too"
    )
    status = verbs.add_parser("status", help="say whether it is up, and which machines run")
    for verb in (up, down, status):
        verb.add_argument("--name", default="default", help="several may run side by side")
    return parser


if __name__ == "__main__":
    sys.exit(main())
