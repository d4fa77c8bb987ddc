"""The published example, as it stands on its page, and what it becomes."""

from __future__ import annotations

from dstack_cloud.resources import GpuRequest, ResourceRequest
from dstack_cloud.spec import ArtifactSpec, ContainerSpec
from dstack_cloud.workflow.load import load_workflows

EXAMPLE = """\
workflows:
  - name: train
    provider: docker
    image: ubuntu
    commands:
      - mkdir -p output
      - echo 'Hello, world!' > output/hello.txt
    artifacts:
      - path: output
    resources:
      gpu:
        name: "K80"
        count: 1
"""


def test_the_published_example(write):
    train = load_workflows(write(EXAMPLE)).get("train")

    assert train.request == ResourceRequest(gpu=GpuRequest(count=1, name="K80"))
    assert train.artifacts == (ArtifactSpec("output", mount=False),)
    assert (train.grace, train.max_duration, train.max_price) == (30, None, None)
    assert train.secrets == ()
    script = (
        "trap 'exit 143' TERM\nset -e\nmkdir -p output\necho 'Hello, world!' > output/hello.txt"
    )
    assert train.container("train-1") == ContainerSpec(
        image="ubuntu", entrypoint="/bin/sh", command=("-c", script)
    )


def test_every_key_at_once(write):
    root = write("""\
        workflows:
          - name: all
            provider: bash
            image: python:3.12
            version: 3.10
            before_run: [apt-get update]
            requirements: requirements.txt
            environment: {A: 1}
            commands: [python train.py]
            working_dir: src
            ports: [8080]
            artifacts: [{path: out, mount: yes}]
            deps: [{workflow: prepare}, {tag: data}]
            resources:
              cpu: 8
              memory: 32GB
              gpu: {name: A100, count: 2, memory: 40GB}
              disk: 300GB
              shm_size: 8GB
              interruptible: true
            retry: {on: [interruption, rebalance, no-capacity, 137], attempts: 3, within: 6h}
            grace: 1m
            max_duration: 12h
            max_price: 3.50
            max_cost: 20
            deadline: 36h
            duration: 20h
        """)
    workflow = load_workflows(root).get("all")

    gib = 1 << 30
    request = workflow.request
    assert (request.cpu, request.memory, request.disk) == (8, 32 * gib, 300 * gib)
    assert request.gpu == GpuRequest(2, "A100", 40 * gib)
    assert (request.shm_size, request.interruptible) == (8 * gib, True)
    assert str(request.max_price) == "3.50"
    assert (workflow.grace, workflow.max_duration) == (60, 12 * 3600)
    retry = workflow.common.retry
    assert retry is not None
    assert (retry.on, retry.attempts, retry.within) == (
        ["interruption", "rebalance", "no-capacity", "137"],
        3,
        6 * 3600,
    )
    assert workflow.common.deps is not None
    assert [(d.workflow, d.tag) for d in workflow.common.deps] == [
        ("prepare", None),
        (None, "data"),
    ]
    assert (workflow.common.deadline, workflow.common.duration) == (36 * 3600, 20 * 3600)
