from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

from dstack_cloud.errors import InputError
from dstack_cloud.state.code import pack, store_code
from dstack_cloud.state.worktree import code_files
from dstack_cloud.storage.local import LocalStore

SETTINGS = [
    "user.name=t",
    "user.email=t@t",
    "protocol.file.allow=always",
    "init.defaultBranch=main",
    "core.fsync=none",
]


def git(folder: Path, *args: str) -> None:
    settings = [word for setting in SETTINGS for word in ("-c", setting)]
    subprocess.run(["git", *settings, *args], cwd=folder, check=True, capture_output=True)


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture(params=["git", "plain"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    root = tmp_path / "code"
    root.mkdir()
    if request.param == "git":
        git(root, "init")
    return root


def packed(root: Path) -> dict[str, tarfile.TarInfo]:
    file = io.BytesIO()
    pack(root, file)
    file.seek(0)
    with tarfile.open(fileobj=file) as archive:
        return {member.name: member for member in archive}


IGNORED = {
    ".gitignore": "*.log\n/data/\n!keep.log\n",
    "main.py": "",
    "run.log": "",
    "keep.log": "",
    "data/big.bin": "",
    "pkg/data/small.txt": "",
    "pkg/.gitignore": "!wanted.log\nsecret\n",
    "pkg/wanted.log": "",
    "pkg/other.log": "",
    "pkg/secret/x": "",
    "secret/x": "",
    "with space/ü.txt": "",
}


def test_ignored_files_stay_here(root: Path) -> None:
    tree(root, IGNORED)
    assert code_files(root) == sorted(
        [
            ".gitignore",
            "main.py",
            "keep.log",
            "pkg/data/small.txt",
            "pkg/.gitignore",
            "pkg/wanted.log",
            "secret/x",
            "with space/ü.txt",
        ]
    )


def test_tracked_files_go_even_if_ignored_and_deleted_ones_do_not(tmp_path: Path) -> None:
    git(tmp_path, "init")
    tree(tmp_path, {".gitignore": "*.bin\n", "model.bin": "x", "gone.py": "", "new.py": ""})
    git(tmp_path, "add", "-f", "model.bin", "gone.py")
    (tmp_path / "gone.py").unlink()
    assert code_files(tmp_path) == [".gitignore", "model.bin", "new.py"]


def test_a_folder_within_a_repository_is_packed_alone(tmp_path: Path) -> None:
    git(tmp_path, "init")
    tree(tmp_path, {".gitignore": "*.log\n", "above.py": "", "sub/a.py": "", "sub/x.log": ""})
    assert code_files(tmp_path / "sub") == ["a.py"]


def test_a_folder_that_git_ignores_is_packed_by_its_own_rules(tmp_path: Path) -> None:
    git(tmp_path, "init")
    tree(tmp_path, {".gitignore": "*\n", "sub/a.py": "", "sub/.gitignore": "b\n", "sub/b": ""})
    assert code_files(tmp_path / "sub") == [".gitignore", "a.py"]


def test_submodules_and_nested_repositories_go_along(tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init")
    tree(library, {"lib.py": "x"})
    git(library, "add", ".")
    git(library, "commit", "-m", "x")
    main = tmp_path / "main"
    main.mkdir()
    git(main, "init")
    git(main, "submodule", "add", str(library), "vendor/lib")
    tree(main, {"nested/inner.py": "", "nested/.gitignore": "out\n", "nested/out": ""})
    git(main / "nested", "init")
    assert code_files(main) == [
        ".gitmodules",
        "nested/.gitignore",
        "nested/inner.py",
        "vendor/lib/lib.py",
    ]


def test_a_repository_of_a_surrounding_command_is_not_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init")
    tree(tmp_path, {".gitignore": "*.bin\n", "tracked.bin": ""})
    git(tmp_path, "add", "-f", "tracked.bin")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert code_files(tmp_path) == [".gitignore", "tracked.bin"]


def test_without_git_installed_the_ignore_files_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init")
    tree(tmp_path, {".gitignore": "b\n", "a": "", "b": ""})
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert code_files(tmp_path) == [".gitignore", "a"]


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    keys = []
    for name, names in (("one", ["a", "b/c"]), ("two", ["b/c", "a"])):
        folder = tree(tmp_path / name, dict.fromkeys(names, "same"))
        os.utime(folder / "a", (len(keys), 10**9))
        (folder / "a").chmod(0o600 if keys else 0o644)
        keys.append(pack(folder, io.BytesIO()).key)
    assert keys[0] == keys[1]
    (tmp_path / "two" / "a").chmod(0o755)
    assert pack(tmp_path / "two", io.BytesIO()).key != keys[0]


def test_only_the_bit_that_matters_is_kept(root: Path) -> None:
    tree(root, {"run.sh": "", "a.py": ""})
    (root / "run.sh").chmod(0o700)
    (root / "a.py").chmod(0o600)
    members = packed(root)
    assert (members["run.sh"].mode, members["a.py"].mode) == (0o755, 0o644)
    assert {(member.uid, member.gid, member.uname) for member in members.values()} == {(0, 0, "")}


def test_links_stay_links_where_they_lead_inside(root: Path, tmp_path: Path) -> None:
    tree(root, {"real/a.txt": "x", "deep/er/b": ""})
    tree(tmp_path, {"secret.txt": "outside"})
    (root / "relative").symlink_to("real/a.txt")
    (root / "deep" / "absolute").symlink_to(root / "real")
    (root / "dangling").symlink_to("real/none")
    (root / "out").symlink_to("../secret.txt")
    (root / "etc").symlink_to("/etc")
    (root / "twice").symlink_to("out")
    members = packed(root)
    links = {name: member.linkname for name, member in members.items() if member.issym()}
    assert links == {
        "relative": "real/a.txt",
        "deep/absolute": "../real",
        "dangling": "real/none",
    }
    left_out = pack(root, io.BytesIO()).left_out
    assert sorted(left_out) == ["etc", "out", "twice"]


def test_what_is_no_file_is_left(root: Path) -> None:
    tree(root, {"a": ""})
    os.mkfifo(root / "pipe")
    assert list(packed(root)) == ["a"]


def test_too_much_is_told_with_the_largest(root: Path) -> None:
    tree(root, {"small.py": "x", "data/big.bin": "x" * 3000, "mid.bin": "x" * 2000})
    with pytest.raises(InputError) as caught:
        pack(root, io.BytesIO(), most=4096)
    assert "data/big.bin (2.9 KB), mid.bin" in caught.value.message
    assert ".gitignore" in (caught.value.hint or "")


def test_nothing_is_a_package_too(root: Path) -> None:
    assert packed(root) == {}


def test_content_is_stored_once(root: Path, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    tree(root, {"a.py": "one"})
    first = store_code(store, root)
    again = store_code(store, root)
    assert first == again
    (row,) = store.list("code/")
    assert (row.key, row.size) == (first.key, first.size)
    assert first.files == 1
    (root / "a.py").write_text("two")
    assert store_code(store, root).key != first.key


def test_large_code_is_stored_whole(root: Path, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    content = os.urandom(3 << 20)
    (root / "noise.bin").write_bytes(content)
    code = store_code(store, root)
    assert store_code(store, root) == code
    found = store.get(code.key)
    assert found is not None
    with tarfile.open(fileobj=io.BytesIO(found.data)) as archive:
        member = archive.extractfile("noise.bin")
        assert member is not None
        assert member.read() == content


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="files cannot be opened nameless")
@pytest.mark.parametrize("size", [10, 3 << 20])
def test_a_client_that_is_killed_leaves_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    seen = []

    class Looking(LocalStore):
        def create(self, key: str, data: bytes) -> bool:
            seen.append(list(scratch.iterdir()))
            return super().create(key, data)

        def upload(self, key: str, path: Path) -> None:
            seen.append(list(scratch.iterdir()))
            super().upload(key, path)

    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "data").write_bytes(os.urandom(size))
    code = store_code(Looking(tmp_path / "store"), tmp_path / "code")
    assert seen == [[]]
    found = LocalStore(tmp_path / "store").get(code.key)
    assert found is not None
    assert len(found.data) == code.size
