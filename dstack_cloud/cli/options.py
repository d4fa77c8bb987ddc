"""Options that several verbs share, so that they read the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Cloud = Annotated[str | None, typer.Option("--cloud", help="aws, gcp or local.", metavar="CLOUD")]
Region = Annotated[
    list[str] | None, typer.Option("--region", help="Only this region (repeatable).")
]
Cpu = Annotated[int | None, typer.Option("--cpu", help="CPU cores, at least.", min=1)]
Memory = Annotated[str | None, typer.Option("--memory", help="Main memory, at least: 16GB.")]
Gpu = Annotated[str | None, typer.Option("--gpu", help="1, A100, A100:8 or 24GB.")]
Disk = Annotated[str | None, typer.Option("--disk", help="Root disk, at least: 200GB.")]
Interruptible = Annotated[
    bool | None,
    typer.Option("--interruptible/--on-demand", help="Only spot, or only on-demand machines."),
]
MaxPrice = Annotated[str | None, typer.Option("--max-price", help="USD an hour, at most.")]
