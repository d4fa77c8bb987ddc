"""Lists of Compute Engine: filtered, in pages, by zone where they are aggregated."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from moto_fixtures.gcp.call import Call, GcpError
from moto_fixtures.gcp.catalog.places import ZONES
from moto_fixtures.gcp.compute.filters import matching
from moto_fixtures.gcp.project import last, link

Item = dict[str, Any]
_MOST = 500


def listed(call: Call, kind: str, items: Sequence[Item]) -> Item:
    """``kind`` as in ``compute#instanceList``: without the ``List``."""
    page, token = _page(call, matching(call.query.get("filter", ""), items))
    where = call.path.removeprefix("/compute/v1/")
    answer: Item = {"kind": f"compute#{kind}List", "id": where, "selfLink": link(where)}
    if page:
        answer["items"] = page
    return answer | ({"nextPageToken": token} if token else {})


def aggregated(call: Call, kind: str, field: str, items: Sequence[Item]) -> Item:
    """By zone; those with nothing on the page say so, as the real lists do."""
    page, token = _page(call, matching(call.query.get("filter", ""), items))
    scopes: Item = {}
    for zone in ZONES:
        there = [item for item in page if last(item["zone"]) == zone]
        scope = f"zones/{zone}"
        if there:
            scopes[scope] = {field: there}
        else:
            scopes[scope] = {
                "warning": {
                    "code": "NO_RESULTS_ON_PAGE",
                    "message": f"There are no results for scope '{scope}' on this page.",
                    "data": [{"key": "scope", "value": scope}],
                }
            }
    where = call.path.removeprefix("/compute/v1/")
    answer: Item = {
        "kind": f"compute#{kind}AggregatedList",
        "id": where,
        "items": scopes,
        "selfLink": link(where),
    }
    return answer | ({"nextPageToken": token} if token else {})


def _page(call: Call, items: Sequence[Item]) -> tuple[list[Item], str | None]:
    size = int(call.query.get("maxResults") or _MOST)
    if not 0 <= size <= _MOST:
        raise GcpError(
            400, "invalid", f"Invalid value for field 'maxResults': '{size}'. 0 to {_MOST}."
        )
    order = call.query.get("orderBy", "name")
    if order == "creationTimestamp desc":
        items = sorted(items, key=lambda item: str(item.get("creationTimestamp")), reverse=True)
    elif order != "name":
        raise GcpError(400, "invalid", f"Invalid value for field 'orderBy': '{order}'.")
    start = 0
    if token := call.query.get("pageToken"):
        try:
            start = int(base64.urlsafe_b64decode(token))
        except (ValueError, binascii.Error) as error:
            raise GcpError(400, "invalid", "Invalid value for field 'pageToken'.") from error
    size = size or _MOST
    following = base64.urlsafe_b64encode(str(start + size).encode()).decode()
    rest = start + size < len(items)
    return list(items[start : start + size]), following if rest else None
