"""Finding, reading and validating a repository's workflow files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dstack_cloud.errors import InputError, NotFoundError
from dstack_cloud.nearest import did_you_mean
from dstack_cloud.workflow.problems import combined
from dstack_cloud.workflow.read import InvalidWorkflow, read_workflow
from dstack_cloud.workflow.workflow import Workflow
from dstack_cloud.yaml_lines import Node, load_yaml

_EXAMPLE = "workflows: [{name: hello, provider: bash, commands: [echo hello]}]"


@dataclass(frozen=True)
class Workflows:
    """The workflows of the repository at ``root``, by name, in the order of the files."""

    root: Path
    files: tuple[str, ...]
    by_name: Mapping[str, Workflow]

    def get(self, name: str) -> Workflow:
        """The workflow called ``name``. NotFoundError with the names there are."""
        if name in self.by_name:
            return self.by_name[name]
        raise NotFoundError(
            f"no workflow '{name}' in {', '.join(self.files)}{did_you_mean(name, self.by_name)}",
            f"workflows: {', '.join(self.by_name) or 'none'}",
        )


def workflow_files(root: Path) -> list[Path]:
    """The workflow files of a repository, the main one first."""
    main = [root / ".dstack" / f"workflows.{ending}" for ending in ("yaml", "yml")]
    folder = root / ".dstack" / "workflows"
    more = sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))) if folder.is_dir() else []
    return [path for path in (*main, *more) if path.is_file()]


def find_root(start: Path) -> Path:
    """The nearest folder from ``start`` upward that has workflow files.

    The search ends with the git repository: what lies above it is not this project. InputError
    if there are none.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if workflow_files(folder):
            return folder
        if (folder / ".git").exists():
            break
    raise InputError(
        f"no .dstack/workflows.yaml in {start} or above it",
        f"make one, for example: {_EXAMPLE}",
    )


def load_workflows(start: Path) -> Workflows:
    """All workflows of the repository that ``start`` lies in.

    Everything that is wrong in the files is told in one InputError, one problem a line.
    """
    root = find_root(start)
    paths = workflow_files(root)
    problems: list[InputError] = []
    found: dict[str, Workflow] = {}
    for path in paths:
        file = path.relative_to(root).as_posix()
        try:
            entries = _entries(load_yaml(_read(path, file), file))
        except InputError as error:
            problems.append(error)
            continue
        for entry in entries:
            try:
                workflow = read_workflow(entry, root)
            except InvalidWorkflow as invalid:
                problems.extend(invalid.problems)
                continue
            first = found.setdefault(workflow.name, workflow)
            if first is not workflow:
                where = f"{first.node.file}:{first.node.where(('name',)).line}"
                problems.append(
                    entry.error(
                        f"there is a workflow '{workflow.name}' already, in {where}",
                        "give one of them another name",
                        path=("name",),
                    )
                )
    if problems:
        raise combined(problems)
    return Workflows(root, tuple(path.relative_to(root).as_posix() for path in paths), found)


def _read(path: Path, file: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError("not a UTF-8 text", file=file) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=file) from None


def _entries(root: Node) -> list[Node]:
    if not isinstance(root.data, dict) or "workflows" not in root.data:
        raise root.error("'workflows' is missing at the top", f"write like: {_EXAMPLE}")
    for key in root.data:
        if key != "workflows":
            raise root.error(
                f"unknown key '{key}'{did_you_mean(key, ['workflows'])}",
                "the only key at the top is 'workflows'",
                path=(key,),
                key=True,
            )
    entries = root.data["workflows"]
    if not isinstance(entries.data, list):
        raise entries.error("'workflows' must be a list", "begin each workflow with '- name: …'")
    return entries.data
