"""Ctrl-C while credentials are being had: no failure of the store, nothing is tried again."""

from __future__ import annotations

import pytest

from dstack_cloud.google_sign_in import SignIn
from dstack_cloud.storage import aws_credentials
from dstack_cloud.storage.gcs import open_gcs
from dstack_cloud.storage.s3 import open_s3

NOWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize("ask", ["get", "list"])
@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_it_is_not_taken_for_an_error(
    cloud: str, ask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def interrupted(*_: object) -> None:
        asked.append(cloud)
        raise KeyboardInterrupt

    monkeypatch.setattr(aws_credentials, "find", interrupted)
    monkeypatch.setattr(SignIn, "token", interrupted)
    stores = {
        "aws": open_s3("s3://bucket", endpoint=NOWHERE, profile="mine"),
        "gcp": open_gcs("gs://bucket", endpoint=NOWHERE),
    }
    with pytest.raises(KeyboardInterrupt):
        list(getattr(stores[cloud], ask)("k"))
    assert asked == [cloud]
