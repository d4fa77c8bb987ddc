"""Docker on the machine: real pulls through the mirror, GPUs that are accepted, limits."""

from __future__ import annotations


def test_ubuntu_is_pulled_through_the_mirror(plain_machine):
    assert plain_machine.ok("sudo docker run --rm ubuntu echo hello").endswith("hello\n")
    mirrors = plain_machine.ok("sudo docker info --format '{{.RegistryConfig.Mirrors}}'")
    assert plain_machine.world.network.registry in mirrors


def test_the_default_image_of_bash_has_python(plain_machine):
    out = plain_machine.ok(
        "sudo docker run --rm dstackai/miniconda:3.10 sh -c 'python -m pip --version && bash -c id'"
    )
    assert "pip" in out
    assert "uid=0(root)" in out


def test_an_image_that_the_registry_lacks_is_an_error(plain_machine):
    # By the registry's own address: under a plain name, Docker would go on to ask Docker Hub.
    registry = plain_machine.world.network.registry.removeprefix("http://")
    code, out = plain_machine.run(f"sudo docker pull {registry}/library/ubuntu:no-such-tag")
    assert code == 1
    assert "manifest unknown" in out
    plain_machine.ok(f"sudo docker pull -q {registry}/library/ubuntu")


def test_gpus_are_accepted_where_there_are_some(gpu_machine, plain_machine):
    run = "sudo docker run --rm --gpus all ubuntu"
    out = gpu_machine.ok(f"{run} nvidia-smi -L")
    assert "GPU 0: Tesla K80" in out
    code, out = plain_machine.run(f"{run} true")
    assert code == 125
    assert "could not select device driver" in out


def test_memory_limits_hold(plain_machine):
    # A shell variable that grows past the limit is killed, the machine is not.
    grow = "x=x; while :; do x=$x$x; done"
    code, _ = plain_machine.run(
        f"sudo docker run --rm --memory=32m --memory-swap=32m ubuntu bash -c '{grow}'"
    )
    assert code == 137


def test_shared_memory_has_the_size_asked_for(plain_machine):
    out = plain_machine.ok("sudo docker run --rm --shm-size=128m ubuntu df -m /dev/shm")
    assert out.split()[-5] == "128"
