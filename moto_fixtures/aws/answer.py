"""Answers and errors in the shapes that each AWS protocol gives them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import uuid4
from xml.sax.saxutils import escape

# HTTP status of an error code, where it is not 400. Sources: the "Common errors" pages of EC2
# (docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html), S3
# (docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html) and IAM
# (docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html).
STATUS = {
    "AccessDenied": 403,
    "AllAccessDisabled": 403,
    "AuthFailure": 401,
    "BucketAlreadyExists": 409,
    "ConditionalRequestConflict": 409,
    "DryRunOperation": 412,
    "InsufficientHostCapacity": 500,
    "InsufficientInstanceCapacity": 500,
    "InternalError": 500,
    "InternalFailure": 500,
    "InternalServerError": 500,
    "InvalidAccessKeyId": 403,
    "InvalidClientTokenId": 403,
    "MissingAuthenticationToken": 403,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "OperationAborted": 409,
    "PreconditionFailed": 412,
    "RequestLimitExceeded": 503,
    "RequestTimeTooSkewed": 403,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "Unavailable": 503,
    "UnauthorizedOperation": 403,
}


class AwsError(Exception):
    """An error that the caller is answered with; the code as AWS spells it."""

    def __init__(self, code: str, message: str = "", status: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message or code
        self.status = status if status is not None else STATUS.get(code, 400)


@dataclass
class Answer:
    """What goes back over HTTP."""

    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.status < 400


def json_answer(value: object, status: int = 200, kind: str = "application/json") -> Answer:
    """A JSON document."""
    body = json.dumps(value, default=str).encode()
    return Answer(status, body, [("Content-Type", kind)])


@cache
def protocol_of(service: str) -> str:
    """The wire protocol: ``ec2``, ``query``, ``json``, ``rest-json`` or ``rest-xml``."""
    from moto.core.utils import get_service_model

    try:
        return str(get_service_model(service).metadata["protocol"])
    except Exception:
        # A service unknown to the SDK's data: answer as the most common protocol does.
        return "json"


def error_answer(service: str, error: AwsError) -> Answer:
    """The error as the service would have put it."""
    protocol = protocol_of(service)
    request = str(uuid4())
    code, message = escape(error.code), escape(error.message)
    xml = [("Content-Type", "text/xml;charset=UTF-8"), ("x-amzn-RequestId", request)]
    if protocol == "ec2":
        text = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error>"
            f"</Errors><RequestID>{request}</RequestID></Response>"
        )
        return Answer(error.status, text.encode(), xml)
    if protocol == "query":
        text = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
            f"<Message>{message}</Message></Error><RequestId>{request}</RequestId></ErrorResponse>"
        )
        return Answer(error.status, text.encode(), xml)
    if protocol == "rest-xml":
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{code}</Code><Message>{message}</Message>"
            f"<RequestId>{request}</RequestId></Error>"
        )
        return Answer(
            error.status,
            text.encode(),
            [("Content-Type", "application/xml"), ("x-amz-request-id", request)],
        )
    answer = json_answer(
        {"__type": error.code, "message": error.message, "Message": error.message},
        error.status,
        "application/x-amz-json-1.1",
    )
    answer.headers += [("x-amzn-ErrorType", error.code), ("x-amzn-RequestId", request)]
    return answer


def serialized(service: str, action: str, result: Any, transformers: Any = None) -> Answer:
    """``result`` (dicts and moto's own objects) through moto's serializer of the service."""
    from moto.core.serialize import XFormedAttributePicker, get_serializer_class
    from moto.core.utils import get_service_model

    model = get_service_model(service)
    serializer = get_serializer_class(model.service_name, model.metadata["protocol"])(
        operation_model=model.operation_model(action),
        pretty_print=False,
        value_picker=XFormedAttributePicker(response_transformers=transformers),
    )
    got = serializer.serialize(result)
    body = got["body"]
    return Answer(
        int(got["status_code"]),
        body.encode() if isinstance(body, str) else bytes(body),
        [(str(k), str(v)) for k, v in got["headers"].items()],
    )
