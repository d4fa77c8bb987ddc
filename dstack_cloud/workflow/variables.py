"""``${{ run.name }}``, ``${{ run.args }}`` and ``${{ secrets.NAME }}`` in a workflow's texts.

``$${{`` stands for a literal ``${{``. A secret's value never passes through here on its way into
a spec: a text that names one stays a template until the job is sent (`fill`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence

from dstack_cloud.errors import NotFoundError
from dstack_cloud.nearest import did_you_mean

# In this order: an escape, a variable, one that is not closed.
_TOKEN = re.compile(r"(?P<escape>\$\$\{\{)|\$\{\{(?P<name>[^{}]*)\}\}|(?P<open>\$\{\{)")
_SECRET = re.compile(r"secrets\.[A-Za-z_][A-Za-z0-9_]*")
RUN_NAME, RUN_ARGS = "run.name", "run.args"


def names(text: str) -> Iterator[str]:
    """The variables that ``text`` uses. ValueError for one that is not known or not closed."""
    for token in _TOKEN.finditer(text):
        if token["open"]:
            raise ValueError(
                "'${{' is not closed by '}}'; write $${{ for the characters themselves"
            )
        if token["name"] is not None:
            yield _known(token["name"].strip())


def _known(name: str) -> str:
    if name in (RUN_NAME, RUN_ARGS) or _SECRET.fullmatch(name):
        return name
    if name.startswith("secrets."):
        raise ValueError(f"'{name}' is not a name for a secret; use letters, digits and _")
    guess = did_you_mean(name, (RUN_NAME, RUN_ARGS, "secrets.NAME"))
    raise ValueError(f"unknown variable '{name}'{guess or '; there are run.name and run.args'}")


def check(text: str, *, secrets: bool = False, shell: bool = False) -> set[str]:
    """The variables of ``text``, in a place that takes secrets or not, shell code or not.

    ValueError with a sentence for the user.
    """
    used = set(names(text))
    if not secrets and any(name.startswith("secrets.") for name in used):
        raise ValueError(
            "secrets can be used in the values of 'environment' and 'registry_auth' only; "
            "set an environment variable to it, and use that here"
        )
    if shell and RUN_ARGS in used and _args_in_quotes(text):
        raise ValueError("${{ run.args }} brings its own quotes; write it outside of quotes")
    return used


def _args_in_quotes(command: str) -> bool:
    """Whether a ``${{ run.args }}`` stands within shell quotes, where its own would go wrong."""
    quote, word_begins, position = "", True, 0
    while position < len(command):
        char = command[position]
        token = _TOKEN.match(command, position)
        if token is not None:
            if quote and (token["name"] or "").strip() == RUN_ARGS:
                return True
            word_begins, position = False, token.end()
            continue
        if char == "\\" and quote != "'":
            position += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "#" and word_begins:
            # A comment, to the end of the line: quotes in it are none.
            end = command.find("\n", position)
            position = len(command) if end < 0 else end
            continue
        word_begins = char in " \t\n;&|()" and not quote
        position += 1
    return False


def expand(text: str, run: str, args: Sequence[str]) -> str:
    """``text`` with its variables replaced; ``args`` quoted as a POSIX shell's words."""
    return _replace(text, {RUN_NAME: run, RUN_ARGS: shlex.join(args)}.__getitem__, "${{")


def expand_but_secrets(text: str, run: str, args: Sequence[str]) -> str:
    """Like `expand`, but secrets (and escapes) stay: the result is a template for `fill`."""
    values = {RUN_NAME: run, RUN_ARGS: shlex.join(args)}
    escaped = {name: value.replace("${{", "$${{") for name, value in values.items()}
    return _replace(text, lambda name: escaped.get(name, f"${{{{ {name} }}}}"), "$${{")


def fill(template: str, secrets: Mapping[str, str]) -> str:
    """``template`` with the secrets' values in it. NotFoundError for a secret that is not there."""

    def value(name: str) -> str:
        secret = name.removeprefix("secrets.")
        if secret not in secrets:
            raise NotFoundError(
                f"the secret '{secret}' does not exist{did_you_mean(secret, secrets)}",
                f"make it with: dstack-cloud secrets set {secret}",
            )
        return secrets[secret]

    return _replace(template, value, "${{")


def secret_names(template: str) -> set[str]:
    """The secrets that ``template`` needs."""
    return {
        name.removeprefix("secrets.") for name in names(template) if name.startswith("secrets.")
    }


def _replace(text: str, value: Callable[[str], str], escape: str) -> str:
    def one(token: re.Match[str]) -> str:
        return escape if token["escape"] else value(_known((token["name"] or "").strip()))

    return _TOKEN.sub(one, text)
