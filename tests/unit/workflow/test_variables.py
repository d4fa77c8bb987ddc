"""``${{ … }}``: what it becomes, and where it may stand."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dstack_cloud.errors import NotFoundError
from dstack_cloud.workflow import variables

# What a process can be given at all: any text without NUL that has a UTF-8 form.
arguments = st.lists(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=6
)


def run_shell(shell: str, command: str) -> list[str]:
    done = subprocess.run([shell, "-c", command], capture_output=True, check=True, timeout=30)
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("shell", ["sh", "bash"])
@given(args=arguments)
@settings(max_examples=60, deadline=None)
@example(args=["a b", "it's", '"', "$HOME", "`id`", "\\", "-n", "", "\n", "*", "~", "#", "é", "!!"])
@example(args=["${{ run.name }}", "$${{", "${{ secrets.X }}", "}}", "\r\n", "\x1b"])
def test_args_reach_the_program_as_they_were_given(shell, args):
    command = variables.expand(r"printf '<%s>\0' ${{ run.args }} end", "train-1", args)
    assert run_shell(shell, command) == [f"<{arg}>" for arg in [*args, "end"]]


@given(args=arguments)
@settings(max_examples=100)
def test_a_template_filled_without_secrets_is_the_plain_expansion(args):
    text = "a ${{ run.name }} $${{ x ${{ run.args }}"
    template = variables.expand_but_secrets(text, "train-1", args)
    assert variables.secret_names(template) == set()
    assert variables.fill(template, {}) == variables.expand(text, "train-1", args)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("plain $HOME ${HOME} {{ x }} $$ }}", "plain $HOME ${HOME} {{ x }} $$ }}"),
        ("${{ run.name }}", "train-1"),
        ("${{run.name}}-${{  run.name  }}", "train-1-train-1"),
        ("$${{ run.name }}", "${{ run.name }}"),
        ("$$${{ run.name }}", "$${{ run.name }}"),
        ("x ${{ run.args }} y", "x a 'b c' y"),
    ],
)
def test_expansion(text, becomes):
    assert variables.expand(text, "train-1", ["a", "b c"]) == becomes


def test_secrets_stay_out_until_filled():
    template = variables.expand_but_secrets(
        "${{ run.name }}:${{secrets.TOKEN}}@$${{ x }}", "train-1", []
    )
    assert template == "train-1:${{ secrets.TOKEN }}@$${{ x }}"
    assert variables.secret_names(template) == {"TOKEN"}
    # A value is not looked into again.
    filled = variables.fill(template, {"TOKEN": "${{ secrets.OTHER }}"})
    assert filled == "train-1:${{ secrets.OTHER }}@${{ x }}"


def test_a_secret_that_is_not_there():
    with pytest.raises(NotFoundError) as caught:
        variables.fill("${{ secrets.TOKN }}", {"TOKEN": "hidden"})
    assert caught.value.message == "the secret 'TOKN' does not exist; did you mean 'TOKEN'?"
    assert caught.value.hint == "make it with: dstack-cloud secrets set TOKN"


IN_QUOTES = "${{ run.args }} brings its own quotes; write it outside of quotes"


@pytest.mark.parametrize("key", ["commands", "setup"])
@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("${{ run.nam }}", "unknown variable 'run.nam'; did you mean 'run.name'?"),
        ("${{ x }}", "unknown variable 'x'; there are run.name and run.args"),
        ("${{ }}", "unknown variable ''; there are run.name and run.args"),
        ("a ${{ run.name", "'${{' is not closed by '}}'; write $${{ for the characters themselves"),
        (
            "${{ secrets.a-b }}",
            "'secrets.a-b' is not a name for a secret; use letters, digits and _",
        ),
        ("echo '${{ run.args }}'", IN_QUOTES),
        ('echo "x ${{run.args}} y"', IN_QUOTES),
        ('echo "\\" ${{ run.args }}"', IN_QUOTES),
        (
            "${{ secrets.X }}",
            "secrets can be used in the values of 'environment' and 'registry_auth' only; "
            "set an environment variable to it, and use that here",
        ),
    ],
)
def test_what_cannot_stand_in_a_command(problem, key, command, message):
    error = problem(f"{key}:\n- |-\n  {command}")
    assert (error.message, error.line, error.column) == (message, 6, 7)


@pytest.mark.parametrize(
    "command",
    [
        "python train.py ${{ run.args }}",
        "echo 'a' ${{ run.args }} \"b\"",
        "echo it\\'s ${{ run.args }}",
        "# don't\npython train.py ${{ run.args }}",
        "echo ${#a} ${{ run.args }}",
        "echo '$${{ run.args }}'",
        "echo '${{ run.name }}'",
        'echo "a\\"b" ${{ run.args }}',
        "echo 'back\\' ${{ run.args }}",
    ],
)
def test_what_can(command):
    variables.check(command, shell=True)


@given(
    before=st.text("ab \"'\\#", max_size=8).filter(lambda text: not text.endswith("\\")),
    arg=st.text(" ab'\"$`\\", max_size=6),
)
@settings(max_examples=150, deadline=None)
@example(before="\\ #'", arg="")
@example(before="a#'", arg="")
@example(before=";#'", arg="x")
def test_a_command_that_passes_the_check_hands_its_argument_over(before, arg):
    text = f": {before}\nprintf '<%s>\\0' ${{{{ run.args }}}}"
    try:
        variables.check(text, shell=True)
    except ValueError:
        # It is right to refuse where the shell, too, sees a quote that is still open.
        read = subprocess.run(["sh", "-n", "-c", f": {before}\n"], capture_output=True, timeout=30)
        assert read.returncode != 0
        return
    assert run_shell("sh", variables.expand(text, "train-1", [arg])) == [f"<{arg}>"]


@pytest.mark.parametrize("key", ["working_dir", "requirements", "grace", "version"])
def test_keys_without_variables(problem, key):
    error = problem(f"{key}: x${{{{ run.name }}}}")
    message = f"variables like ${{{{ … }}}} cannot be used in '{key}'"
    assert error.message.splitlines()[0] == message


def test_artifacts_have_no_variables(problem):
    error = problem("artifacts: ['${{ run.name }}']")
    assert error.message == "variables like ${{ … }} cannot be used in 'artifacts'"
    assert (error.line, error.column) == (5, 17)


def test_quoting_is_the_shells_own():
    args = ["a", "b c", "it's"]
    assert shlex.split(variables.expand("${{ run.args }}", "x", args)) == args
