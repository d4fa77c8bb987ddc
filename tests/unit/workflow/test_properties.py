"""What the providers' own keys become in a file, and what is wrong with them by its line."""

from __future__ import annotations

import pytest

from dstack_cloud.errors import InputError


def test_the_arguments_in_a_workflow(train):
    keys = "file: a.py\nargs: --name ${{ run.name }} ${{ run.args }} last"
    spec = train(keys, provider="python", image="").container("train-1", ["a b"])
    assert spec.command[-1].endswith("python3 a.py --name train-1 'a b' last")


@pytest.mark.parametrize(
    ("provider", "keys", "place", "message"),
    [
        ("python", "args: x", "2:5", "'file' is missing in workflow 'train'"),
        ("python", "file: a\nnodes: 2", "5:5", "unknown key 'nodes'"),
        ("python", "file: a\nargs: {a: b}", "5:11", "'args': must be a text"),
        ("python", "file: a\nargs: \"'${{ run.args }}'\"", "5:11", "brings its own quotes"),
        ("python", "file: a\nargs: ['${{ run.args }}']", "5:12", "'args' to be one text"),
        ("torchrun", "file: a\nnodes: some", "5:12", "'nodes': must be a whole number"),
        ("docker", "image: a\nregistry_auth: me", "5:20", "must be a mapping, not 'me'"),
        ("bash", "commands: [a]\nregistry_auth: {username: me}", "5:20", "'password' is missing"),
        ("docker", "image: a\ncloud_access: reader", "5:19", "'reader' is neither a role of AWS"),
        ("docker", "image: a\ncloud_access: '${{ run.name }}'", "5:19", "variables like"),
        (
            "docker",
            "image: a\nregistry_auth: {username: me, password: planted}",
            "5:45",
            "'registry_auth.password': must be a secret",
        ),
        (
            "docker",
            "image: a\nregistry_auth: {user: me, password: '${{ secrets.A }}'}",
            "5:21",
            "unknown key 'user' in 'registry_auth'",
        ),
        (
            "docker",
            "image: a\nregistry_auth: {username: me, password: '${{ secret.A }}'}",
            "5:45",
            "unknown variable 'secret.A'",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(problem, provider, keys, place, message):
    error = problem(keys, provider=provider, image="")
    assert str(error).startswith(f".dstack/workflows.yaml:{place}: ")
    assert message in str(error)


@pytest.mark.parametrize("path", ["node-1", "node-12/out", "{path: node-1/out, mount: true}"])
def test_artifacts_where_another_nodes_would_go(train, path):
    keys = f"file: a.py\nnodes: 2\nartifacts:\n  - node-0\n  - node-1st\n  - {path}"
    workflow = train(keys, provider="torchrun", image="")
    with pytest.raises(InputError) as caught:
        workflow.container("train-1")
    assert str(caught.value).startswith(".dstack/workflows.yaml:9:9: 'node-1")
    assert "another node's artifacts" in str(caught.value)
    # On one machine there are no others.
    assert train(keys.replace("nodes: 2", "nodes: 1"), provider="torchrun", image="").container("a")


def test_a_login_is_a_template_and_its_secrets_are_needed(train):
    keys = "registry_auth:\n  username: ${{ secrets.NAME }}\n  password: a-${{ secrets.WORD }}"
    workflow = train(keys)
    assert workflow.secrets == ("NAME", "WORD")
    spec = workflow.container("train-1")
    assert spec.registry_auth == {
        "username": "${{ secrets.NAME }}",
        "password": "a-${{ secrets.WORD }}",
    }
    error = workflow.secret_error("WORD", "gone")
    assert (error.line, error.column) == (7, 17)


@pytest.mark.parametrize(
    ("access", "cloud"),
    [
        ("arn:aws:iam::123456789012:role/a/path/reader", "aws"),
        ("arn:aws-cn:iam::123456789012:role/reader", "aws"),
        ("reader@project-1.iam.gserviceaccount.com", "gcp"),
        ("123-compute@developer.gserviceaccount.com", "gcp"),
    ],
)
def test_a_run_is_where_its_role_is(train, access, cloud):
    workflow = train(f"cloud_access: {access}")
    assert workflow.on_its_cloud(["gcp", "local", "aws"]) == [cloud]
    with pytest.raises(InputError, match=f"is of {cloud}, and the run would be on local") as caught:
        workflow.on_its_cloud(["local"])
    assert (caught.value.line, caught.value.column) == (5, 19)
    assert f"--cloud {cloud}" in caught.value.hint


@pytest.mark.parametrize("access", ["arn:aws:iam::1:role/a", "arn:aws:iam::123456789012:user/a"])
def test_what_is_no_role(problem, access):
    assert "is neither a role" in problem(f"cloud_access: {access}").message
