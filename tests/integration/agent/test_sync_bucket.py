"""Mounted artifacts, notices and restores with a bucket as the store, through rclone."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import unquote
from urllib.request import Request, urlopen

import pytest
from support.agent_buckets import REGION, Bucket

from dstack_cloud.machine.job import ArtifactSpec, StoreAccess, Timers

if TYPE_CHECKING:
    from conftest import Follower, Host

KEY = "p/artifacts/train-7/output/"
MOUNTED = [ArtifactSpec("output", mount=True)]
# For what has nothing to do with whose bucket it is.
ON_S3 = pytest.mark.parametrize("bucket", ["s3"], indirect=True)
WAIT = "while ! test -e {0}; do sleep 0.05; done"


class Proxy:
    """Between the agent and the store: passes everything on, or answers 503 while it is ``down``;
    ``wrote`` are the keys that were put or deleted. Of the next ``spoiled`` artifacts a byte
    changes on the way to it; it holds them against their MD5 where the request has it, as S3 does.
    ``keyed``: encrypted with a key of KMS, as S3 is where a bucket says so: an ETag is no MD5."""

    def __init__(self, target: str) -> None:
        self.down = False
        self.refused = 0
        self.spoiled = 0
        self.keyed = False
        self.wrote: list[tuple[str, str]] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.body()
                if proxy.down:
                    proxy.refused += 1
                    self.reply(503, {}, b"<Error><Code>SlowDown</Code><Message>m</Message></Error>")
                    return
                if proxy.spoiled and self.command == "PUT" and KEY in self.path:
                    proxy.spoiled -= 1
                    body = b"#" + body[1:]
                    if not same(body, self.headers.get("Content-MD5")):
                        code = b"<Error><Code>BadDigest</Code><Message>m</Message></Error>"
                        self.reply(400, {}, code)
                        return
                if self.command in ("PUT", "DELETE", "POST"):
                    # Google's uploads have the object in the query.
                    proxy.wrote.append((self.command, unquote(self.path)))
                given = {k: v for k, v in self.headers.items() if k.lower() != "accept-encoding"}
                # Else it is taken for a form, and moto reads it as one.
                given.setdefault("Content-Type", "application/octet-stream")
                request = Request(target + self.path, body or None, given, method=self.command)
                try:
                    with urlopen(request) as found:
                        self.reply(found.status, dict(found.headers), found.read())
                except HTTPError as error:
                    self.reply(error.code, dict(error.headers), error.read())

            def body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                del self.headers["Transfer-Encoding"]
                data = b""
                while size := int(self.rfile.readline(), 16):
                    data += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return data

            def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                if proxy.keyed and "ETag" in headers:
                    tag = hashlib.md5(headers["ETag"].encode()).hexdigest()
                    headers["ETag"] = f'"{tag}"'
                    headers["x-amz-server-side-encryption"] = "aws:kms"
                for name, value in headers.items():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(name, value)
                length = headers.get("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def same(body: bytes, digest: str | None) -> bool:
    return digest is None or hashlib.md5(body).digest() == base64.b64decode(digest)


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[Proxy]:
    made = Proxy(bucket.endpoint)
    yield made
    made.close()


@pytest.fixture
def remote(host: Host, proxy: Proxy, bucket: Bucket) -> Host:
    host.job = replace(host.job, store=StoreAccess(f"{bucket.url}/p", REGION, proxy.url))
    host.environment.update(bucket.environment)
    return host


def get(bucket: Bucket, name: str) -> bytes | None:
    return bucket.get(KEY + name)


def wait_for(wanted: Callable[[], Any], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def go(host: Host, name: str) -> None:
    (host.root / "workflow" / name).touch()


def began(host: Host, *commands: str, **changes: Any) -> Follower:
    host.start("mkdir -p output", *commands, **{"artifacts": MOUNTED, **changes})
    follower = host.follow()
    follower.until(lambda: any(s["phase"] == "running" for s in follower.statuses))
    return follower


def test_small_and_large_files_names_and_deletions(remote: Host, bucket: Bucket) -> None:
    follower = began(
        remote,
        "echo odd > 'output/sp ace ü%25'; echo gone > output/gone",
        "head -c 70000000 /dev/zero > output/large",
        WAIT.format("one"),
        "rm output/gone",
        WAIT.format("end"),
    )
    wait_for(lambda: get(bucket, "sp ace ü%25") == b"odd\n" and get(bucket, "gone"))
    wait_for(lambda: len(get(bucket, "large") or b"") == 70000000)
    go(remote, "one")
    wait_for(lambda: get(bucket, "gone") is None)
    go(remote, "end")
    follower.rest()
    assert follower.end is not None
    (artifact,) = follower.end["artifacts"]
    assert (artifact["files"], artifact["stored"], artifact["error"]) == (2, True, None)


@ON_S3
def test_a_file_overwritten_while_it_is_copied(remote: Host, bucket: Bucket, proxy: Proxy) -> None:
    """Each version is one letter. A program that overwrites it in place, over and over, waits for
    the copy at most for a moment; whatever arrives is one version."""
    follower = began(
        remote,
        """python3 -c "
import os, time
size, n, longest = 4 << 20, 0, 0
while not os.path.exists('end'):
    letter = bytes([97 + n % 26]); n += 1
    begun = time.monotonic()
    with open('output/weights', 'wb') as f:
        longest = max(longest, time.monotonic() - begun)
        for _ in range(64):
            f.write(letter * (size // 64)); f.flush(); time.sleep(0.01)
    time.sleep(0.3 + n % 4)
print('longest', longest, flush=True)
" """,
    )
    seen: set[bytes] = set()
    deadline = time.monotonic() + 90
    while len(seen) < 3:
        assert time.monotonic() < deadline
        data = get(bucket, "weights")
        if data is not None:
            letters = set(data)
            assert (len(data), len(letters)) == (4 << 20, 1)
            seen.add(data[:1])
        time.sleep(0.2)
    go(remote, "end")
    follower.rest()
    longest = float(follower.log.split(b"longest ")[1].split()[0])
    # The kernel would break the lease by force after 45 s.
    assert longest < 20


@ON_S3
@pytest.mark.parametrize("trouble", ["spoiled", "keyed"])
def test_a_copy_that_is_doubted_takes_nothing_away(
    remote: Host, bucket: Bucket, proxy: Proxy, trouble: str
) -> None:
    """The last good copy is there at every moment, for the machine may die in any."""
    follower = began(
        remote, "echo old > output/x", WAIT.format("one"), "echo new > output/x", WAIT.format("end")
    )
    wait_for(lambda: get(bucket, "x") == b"old\n")
    proxy.spoiled, proxy.keyed = (2, False) if trouble == "spoiled" else (0, True)
    go(remote, "one")
    wait_for(lambda: get(bucket, "x") == b"new\n")
    assert proxy.spoiled == 0
    # Not even for a moment was there nothing.
    assert [path for way, path in proxy.wrote if way == "DELETE" and KEY in path] == []
    go(remote, "end")
    follower.rest()
    assert follower.end is not None
    assert [a["stored"] for a in follower.end["artifacts"]] == [True]


def test_a_store_that_is_away_for_a_while(remote: Host, bucket: Bucket, proxy: Proxy) -> None:
    follower = began(
        remote, WAIT.format("one"), "echo x > output/x", WAIT.format("end"), "echo y > output/y"
    )
    proxy.down = True
    go(remote, "one")
    follower.until(lambda: bool(follower.statuses[-1]["sync"]["error"]))
    assert follower.statuses[-1]["sync"]["behind"] == 2
    go(remote, "end")
    follower.until(lambda: follower.statuses[-1]["phase"] == "saving")
    already = proxy.refused
    wait_for(lambda: proxy.refused > already + 3)
    proxy.down = False
    follower.rest()
    assert follower.end is not None
    assert [a["stored"] for a in follower.end["artifacts"]] == [True]
    assert (get(bucket, "x"), get(bucket, "y")) == (b"x\n", b"y\n")


def test_what_is_missing_is_named(remote: Host, bucket: Bucket) -> None:
    follower = began(
        remote, "echo 1 > output/1", WAIT.format("one"), "echo 2 > output/2; echo 3 > output/3"
    )
    wait_for(lambda: get(bucket, "1"))
    bucket.delete()
    go(remote, "one")
    follower.rest()
    bucket.make()
    assert follower.end is not None
    (artifact,) = follower.end["artifacts"]
    assert not artifact["stored"]
    assert artifact["error"].startswith("2 of 3 files, 4 bytes, are missing: output/")
    assert artifact["error"].endswith(f"the bucket {bucket.url[5:]} does not exist")


@ON_S3
def test_restored_where_no_etag_is_an_md5(remote: Host, bucket: Bucket, proxy: Proxy) -> None:
    proxy.keyed = True
    test_restored_through_rclone(remote, bucket)


def test_restored_through_rclone(remote: Host, bucket: Bucket) -> None:
    first = began(
        remote,
        "mkdir output/deep; echo step 1 > 'output/deep/check point'",
        "touch -d '2020-01-02 03:04:05' 'output/deep/check point'",
        "head -c 7000000 /dev/zero > output/zeros",
        artifacts=[ArtifactSpec("output")],
    )
    first.rest()
    assert first.end is not None
    assert first.end["state"] == "done"
    folder = remote.root.parent / "second"
    folder.mkdir()
    again = type(remote)(folder, remote.image, remote.name)
    again.job = remote.job
    again.environment = remote.environment
    try:
        again.start(
            "cat 'output/deep/check point'; ls -l --time-style=full-iso output/deep",
            "rm output/zeros",
            artifacts=MOUNTED,
            restore=True,
            attempt=2,
        )
        follower = again.follow()
        follower.rest()
        assert follower.end is not None
        assert follower.end["message"] is None
        assert b"step 1" in follower.log
        assert b"2020-01-02 03:04:05" in follower.log
        assert get(bucket, "zeros") is None
        assert get(bucket, "deep/check point") == b"step 1\n"
    finally:
        again.close()


@ON_S3
def test_a_restore_rides_out_an_outage_and_misses_nothing(
    remote: Host, bucket: Bucket, proxy: Proxy
) -> None:
    bucket.put(KEY + "x", b"1234")
    proxy.down = True
    remote.start("echo never", artifacts=MOUNTED, restore=True, attempt=2)
    follower = remote.follow()
    follower.until(lambda: any(s["phase"] == "restoring" for s in follower.statuses))
    told = {"path": "output", "files": 3, "bytes": 12, "stored": True, "error": None}
    end = {"state": "lost", "reason": "lost", "artifacts": [told]}
    body = json.dumps(end).encode()
    bucket.put("p/runs/train-7/attempts/1/end.json", body)
    proxy.down = False
    follower.rest()
    assert follower.end is not None
    assert follower.end["message"].startswith("artifacts to restore are gone: output had 3 files")


def copying(host: Host) -> bool:
    """Whether rclone runs for this host's agent."""
    tasks = Path(f"/proc/{host.pid()}/task").iterdir()
    return any((task / "children").read_text().split() for task in tasks)


def test_a_fenced_attempt_writes_nothing_more(remote: Host, bucket: Bucket, proxy: Proxy) -> None:
    """Cut off while it has work to copy; when the store is back, the run is another attempt's."""
    follower = began(
        remote,
        "echo 1 > output/x",
        WAIT.format("one"),
        "echo 2 > output/x; rm output/y || true",
        WAIT.format("end"),
        timers=Timers(heartbeat=12),
    )
    wait_for(lambda: get(bucket, "x") == b"1\n")
    proxy.down = True
    go(remote, "one")
    follower.until(lambda: bool(follower.statuses[-1]["sync"]["error"]))
    # Nobody takes over before it has been silent for the heartbeat's time; by then nothing is under
    # way that could still arrive.
    wait_for(lambda: not copying(remote), 12.0)
    lost = json.dumps({"state": "lost", "reason": "machine-lost"}).encode()
    bucket.put("p/runs/train-7/attempts/1/end.json", lost)
    bucket.put(KEY + "x", b"newer")
    already = len(proxy.wrote)
    proxy.down = False
    follower.rest()
    assert follower.end is not None
    assert follower.end["reason"] == "fenced"
    assert get(bucket, "x") == b"newer"
    assert [path for _, path in proxy.wrote[already:] if "/artifacts/" in path] == []
