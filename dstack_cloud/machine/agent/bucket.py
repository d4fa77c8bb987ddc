"""A bucket over the XML that S3 and Google Cloud Storage have in common: small objects,
conditional creation, listing."""

from __future__ import annotations

import http.client
import os
import re
import time
from collections.abc import Iterator, Mapping
from html import unescape

from .errors import StoreError
from .sigv4 import encode_path, encode_query
from .store import Listed
from .web import Response, Web

# Seconds before each further try; in all, an outage of some ten seconds is ridden out here, and
# callers that can wait longer ask again.
_PAUSES = (0.2, 0.6, 1.5, 3.0, 5.0)
_ENTRY = re.compile(r"<Contents>.*?<Key>(.*?)</Key>.*?<Size>(\d+)</Size>.*?</Contents>", re.DOTALL)


class BucketStore:
    """``scheme://bucket/prefix``, at ``base``; ``root`` begins every path. Thread-safe."""

    # The header of a write that must find nothing there.
    only_new: Mapping[str, str] = {}

    def __init__(self, url: str, base: str, root: str) -> None:
        self._scheme, _, rest = url.partition("://")
        self.bucket, _, prefix = rest.partition("/")
        self.prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self._root = root
        self._web = Web(base)

    def headers(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        given: Mapping[str, str],
        body: bytes,
    ) -> Mapping[str, str]:
        """All headers of a request, with who asks; ``path`` is encoded. StoreError without that."""
        raise NotImplementedError

    def digest(self, headers: Mapping[str, str]) -> str:
        """The object's MD5 in hexadecimal, empty where the headers do not tell."""
        raise NotImplementedError

    def passing(self, status: int, problem: str) -> bool:
        """Whether what was refused at once may be granted later."""
        raise NotImplementedError

    def _once(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
        sink: str | None,
    ) -> Response:
        path = encode_path(f"{self._root}/{key}")
        sent = self.headers(method, path, query, headers, body)
        target = path + ("?" + encode_query(query) if query else "")
        return self._web.request(method, target, sent, body, sink)

    def _request(
        self,
        method: str,
        key: str,
        good: tuple[int, ...],
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        sink: str | None = None,
    ) -> Response:
        problem = ""
        for pause in (*_PAUSES, None):
            try:
                answer = self._once(method, key, query or {}, headers or {}, body, sink)
            except (OSError, http.client.HTTPException, StoreError) as error:
                problem = str(error) or type(error).__name__
            else:
                if answer.status in good:
                    return answer
                problem = _problem(answer)
                # 409: a conditional write met another one; it asks for another try.
                if answer.status < 500 and answer.status not in (408, 409, 429):
                    raise StoreError(
                        f"{method} {self._scheme}://{self.bucket}/{key}: {problem}",
                        passing=self.passing(answer.status, problem),
                    )
            if pause is not None:
                time.sleep(pause)
        raise StoreError(f"{method} {self._scheme}://{self.bucket}/{key}: {problem}")

    def get(self, key: str) -> bytes | None:
        answer = self._request("GET", self.prefix + key, (200, 404))
        if answer.status == 404 and b"NoSuchBucket" in answer.body:
            raise StoreError(f"the bucket {self.bucket} does not exist", passing=False)
        return answer.body if answer.status == 200 else None

    def put(self, key: str, data: bytes) -> None:
        self._request("PUT", self.prefix + key, (200,), body=data)

    def create(self, key: str, data: bytes) -> bool:
        answer = self._request(
            "PUT", self.prefix + key, (200, 412), headers=self.only_new, body=data
        )
        # A try whose answer was lost may have written it: then it is there, and it is ours.
        return answer.status == 200 or self.get(key) == data

    def list(self, prefix: str) -> list[Listed]:
        return [*self.each(prefix)]

    def each(self, prefix: str) -> Iterator[Listed]:
        token = ""
        while True:
            query = {"list-type": "2", "prefix": self.prefix + prefix}
            if token:
                query["continuation-token"] = token
            text = self._request("GET", "", (200,), query).body.decode()
            for entry in _ENTRY.finditer(text):
                key, size = entry.groups()
                yield Listed(unescape(key)[len(self.prefix) :], int(size))
            more = re.search(r"<NextContinuationToken>(.*?)</NextContinuationToken>", text)
            if more is None:
                return
            token = unescape(more.group(1))

    def fingerprint(self, key: str) -> tuple[int, str] | None:
        answer = self._request("HEAD", self.prefix + key, (200, 404))
        if answer.status != 200:
            return None
        return int(answer.headers.get("content-length", 0)), self.digest(answer.headers)

    def delete(self, key: str) -> None:
        self._request("DELETE", self.prefix + key, (200, 204, 404))

    def fetch(self, key: str, path: str) -> bool:
        half = path + ".part"
        answer = self._request("GET", self.prefix + key, (200, 404), sink=half)
        if answer.status != 200:
            return False
        os.replace(half, path)
        return True


def _problem(answer: Response) -> str:
    """The bucket's own code and message where the body has them."""
    text = answer.body.decode("utf-8", "replace")
    code = re.search(r"<Code>(.*?)</Code>", text)
    words = re.search(r"<Message>(.*?)</Message>", text)
    if code is None:
        return f"HTTP {answer.status}"
    return "{}: {}".format(code.group(1), unescape(words.group(1)) if words else "")
