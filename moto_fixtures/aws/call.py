"""One API call, read out of an HTTP request: service, action, region, parameters, key."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

# The name in a signature's scope differs from the SDK's (and moto's) name of the service.
MODEL_OF_SIGNING_NAME = {"servicequotas": "service-quotas"}

_CREDENTIAL = re.compile(
    r"Credential=(?P<key>[^/,\s]+)/(?P<date>\d+)/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request"
)
_READ_BODY_OF_S3 = {"DeleteObjects", "CreateBucket", "CompleteMultipartUpload"}


@dataclass
class Call:
    """What a client asked for. ``service`` is the name in the signature's scope."""

    environ: dict[str, Any]
    service: str
    action: str
    region: str
    access_key: str | None
    session_token: str | None
    params: dict[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    """None where it was left in the stream (objects of S3)."""

    @property
    def model_name(self) -> str:
        return MODEL_OF_SIGNING_NAME.get(self.service, self.service)

    @property
    def peer(self) -> str:
        return str(self.environ.get("REMOTE_ADDR", ""))

    def header(self, name: str) -> str | None:
        value = self.environ.get("HTTP_" + name.upper().replace("-", "_"))
        return None if value is None else str(value)

    def rewrite(self, body: bytes) -> None:
        """Put another body in place of the one that came."""
        self.body = body
        self.environ["CONTENT_LENGTH"] = str(len(body))
        self.environ["wsgi.input"] = io.BytesIO(body)


def read_call(environ: dict[str, Any]) -> Call:
    """Read a request. A body is consumed (and put back) except for S3's objects."""
    scope = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if scope:
        service, region, key = scope["service"], scope["region"], scope["key"]
    elif (environ.get("CONTENT_TYPE") or "").startswith("application/x-www-form-urlencoded"):
        service, region, key = "sts", "us-east-1", None
    elif target:
        service, region, key = target.split(".")[0].lower(), "us-east-1", None
    else:
        service, region, key = "s3", "us-east-1", None
    call = Call(environ, service, "", region, key, environ.get("HTTP_X_AMZ_SECURITY_TOKEN") or None)
    if service == "s3":
        _read_rest(call)
        if call.action in _READ_BODY_OF_S3:
            _read_body(call)
            _parse(call)
        return call
    _read_body(call)
    body = call.body or b""
    if target:
        call.action = target.rsplit(".", 1)[-1]
        call.params = _json(body)
    elif b"Action=" in body or "Action=" in environ.get("QUERY_STRING", ""):
        text = body.decode("latin-1") or environ.get("QUERY_STRING", "")
        call.action = parse_qs(text).get("Action", [""])[0]
        _parse(call)
    else:
        _read_rest(call)
        _parse(call)
    return call


def _read_body(call: Call) -> None:
    environ = call.environ
    source = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        body = source.read()
    else:
        body = source.read(int(environ.get("CONTENT_LENGTH") or 0))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    call.rewrite(body)


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _read_rest(call: Call) -> None:
    """Name the action of a REST call by its method and path; keep what the path carries."""
    request = Request(dict(call.environ), shallow=True)
    try:
        operation, found = get_service_router(call.model_name).match(request)
    except (NotFound, NotImplementedError):
        call.action = f"{call.environ['REQUEST_METHOD']} {call.environ['PATH_INFO']}"
        return
    call.action = operation.name
    call.params = {k: v for k, v in found.items() if v is not None}
    query = parse_qs(call.environ.get("QUERY_STRING", ""), keep_blank_values=True)
    for key, values in query.items():
        if key not in ("x-id",):
            call.params.setdefault(key, values[0])
    for header in ("x-amz-copy-source", "if-match", "if-none-match"):
        value = call.header(header)
        if value is not None:
            call.params[header] = value


def _parse(call: Call) -> None:
    """Structured parameters by the service's model; whatever does not parse stays raw."""
    request = Request(dict(call.environ, **{"wsgi.input": io.BytesIO(call.body or b"")}))
    try:
        model = get_service_model(call.model_name)
        operation = model.operation_model(call.action)
        parser = PROTOCOL_PARSERS[model.metadata["protocol"]](operation, map_type=dict)
        parsed = parser.parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": request.data,
                "url_path": request.path,
                "url_params": dict(call.params),
            }
        )
    except Exception:
        # Not ours to judge: moto gives the service's own error for a malformed call.
        return
    call.params = {**call.params, **{k: v for k, v in dict(parsed).items() if v is not None}}
