"""The command line: registers the verbs and turns every error into words and an exit code."""

from __future__ import annotations

import sys
import warnings

import typer

from dstack_cloud.cli import render
from dstack_cloud.cli.artifacts import artifacts
from dstack_cloud.cli.attach import attach
from dstack_cloud.cli.catalog import catalog
from dstack_cloud.cli.check import check
from dstack_cloud.cli.cost import cost
from dstack_cloud.cli.gc import gc
from dstack_cloud.cli.images import images
from dstack_cloud.cli.init import init
from dstack_cloud.cli.logs import logs
from dstack_cloud.cli.offers import offers
from dstack_cloud.cli.plain import spare_conversions
from dstack_cloud.cli.ps import ps
from dstack_cloud.cli.run import run
from dstack_cloud.cli.runs import runs
from dstack_cloud.cli.secrets import secrets
from dstack_cloud.cli.ssh import ssh
from dstack_cloud.cli.stop import stop
from dstack_cloud.cli.tags import tags
from dstack_cloud.errors import DetachedError, DstackError, InputError, InternalError

app = typer.Typer(
    name="dstack-cloud",
    help="Run one job on a cloud machine; nothing is left running afterwards.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    """Run one job on a cloud machine; nothing is left running afterwards."""
    if version:
        from importlib.metadata import version as installed

        print(installed("dstack-cloud"))
    elif context.invoked_subcommand is None:
        print(context.get_help())


# Each verb is a function in a file of its own; what it needs, it imports when it runs.
app.command()(init)
app.command()(check)
app.command()(offers)
app.command()(run)
app.command()(ps)
app.command()(logs)
app.command()(attach)
app.command()(ssh)
app.command()(stop)
app.add_typer(artifacts, name="artifacts")
app.add_typer(tags, name="tags")
app.add_typer(runs, name="runs")
app.add_typer(secrets, name="secrets")
app.add_typer(images, name="images")
app.command()(cost)
app.command()(gc)
app.add_typer(catalog, name="catalog")


def main() -> None:
    """The program. Exits with the contract's code; a traceback never reaches the user."""
    if not sys.warnoptions:
        # What libraries warn their programmers of is no concern of the user's.
        warnings.simplefilter("ignore")
    as_json = "--json" in sys.argv[: _end_of_options(sys.argv)]
    try:
        spare_conversions()
        code = app(prog_name="dstack-cloud", standalone_mode=False)
    except DstackError as error:
        _fail(error, as_json)
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except typer.Abort:
        _fail(DetachedError("interrupted"), as_json)
    except typer.TyperException as error:
        _fail(InputError(error.format_message(), _usage(error)), as_json)
    except KeyboardInterrupt:
        _fail(DetachedError("interrupted"), as_json)
    except BrokenPipeError:
        # The reader (head, less) has gone; that is its right. Nothing more can be written.
        sys.stderr.close()
        sys.exit(141)
    except Exception as error:
        _fail(_bug(error), as_json)
    else:
        sys.exit(code or 0)


def _fail(error: DstackError, as_json: bool) -> None:
    if as_json:
        render.print_json({"error": error.as_json()})
    else:
        render.print_error(error)
    sys.exit(error.exit_code)


def _usage(error: typer.TyperException) -> str | None:
    context = getattr(error, "ctx", None)
    return f"see {context.command_path} --help" if context else None


def _end_of_options(argv: list[str]) -> int:
    return argv.index("--") if "--" in argv else len(argv)


def _bug(error: Exception) -> InternalError:
    """A bug of ours: its traceback goes to a file, its name to the user."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="dstack-cloud-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exc(file=file)
    return InternalError(
        f"{type(error).__name__}: {error}", f"this is a bug of ours; please report {file.name}"
    )
