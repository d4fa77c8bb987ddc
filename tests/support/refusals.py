"""What a refused command must look like, in words and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from support.emulated import Emulator, Project


@dataclass(frozen=True)
class Refusal:
    """The error document of a refused command, and what people read on stderr."""

    document: dict[str, Any]
    words: str

    @property
    def place(self) -> str:
        """``file:line:column`` as far as the document names it."""
        parts = (self.document[key] for key in ("file", "line", "column"))
        return ":".join(str(part) for part in parts if part is not None)

    @property
    def told(self) -> str:
        """Message and hint."""
        return f"{self.document['message']}\n{self.document['hint']}"


def refused(emulator: Emulator, project: Project, *args: str, people: bool = True) -> Refusal:
    """Run a command that must be refused with nothing launched: as JSON, and also for people."""
    emulator.delete("/_emulator/calls")
    machine = project.start(*args, "--json")
    plain = project.cli(*args) if people else None
    text, rest = machine.communicate(timeout=300)
    assert "Traceback" not in text + rest
    document = json.loads(text)["error"]
    assert set(document) == {"kind", "message", "hint", "exit_code", "file", "line", "column"}
    assert machine.returncode == document["exit_code"], text
    if plain is not None:
        assert (plain.returncode, plain.stdout) == (machine.returncode, ""), plain.stderr
        assert "Traceback" not in plain.stderr
        told = [*document["message"].splitlines()[:1], *(document["hint"] or "").splitlines()]
        assert [line for line in told if line not in plain.stderr] == []
    assert not {*emulator.words.launching} & set(emulator.actions())
    assert emulator.machines() == []
    return Refusal(document, plain.stderr if plain else rest)
