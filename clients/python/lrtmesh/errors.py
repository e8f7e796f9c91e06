"""What a failed call says beside its status: reason, wrong fields, when to try again."""

from dataclasses import dataclass, field
from typing import Dict, Optional

import grpc

from . import rpc_pb2


@dataclass(frozen=True)
class ErrorDetails:
    """A failed call."""

    status: grpc.StatusCode
    message: str
    reason: str = ""
    """The server's reason, such as INVALID_ARGUMENT; empty where the failure is not the server's own."""
    fields: Dict[str, str] = field(default_factory=dict)
    """What is wrong with each field, by its path in the request."""
    retry_after: Optional[float] = None
    """Seconds after which another try makes sense; None where the server does not say."""


def details(error):
    """ErrorDetails of a grpc.RpcError, sync or aio."""
    reason, fields, retry_after = "", {}, None
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        for detail in rpc_pb2.Status.FromString(value).details:
            kind = detail.type_url.rpartition("/")[2]
            if kind == "google.rpc.ErrorInfo":
                reason = rpc_pb2.ErrorInfo.FromString(detail.value).reason
            elif kind == "google.rpc.BadRequest":
                violations = rpc_pb2.BadRequest.FromString(detail.value).field_violations
                fields = {violation.field: violation.description for violation in violations}
            elif kind == "google.rpc.RetryInfo":
                retry_after = rpc_pb2.RetryInfo.FromString(detail.value).retry_delay.ToMilliseconds() / 1000
    return ErrorDetails(error.code(), error.details() or "", reason, fields, retry_after)
