"""Where the roles of a mesh are, and how a channel to one is set up."""

import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from google.protobuf.descriptor_pb2 import MethodOptions

from . import v1


@dataclass(frozen=True)
class Profile:
    """Addresses of the roles, such as http://127.0.0.1:5001, or dns:///HOST:PORT for all replicas behind a name."""

    extraction: str
    mapping: str
    generation: str

    @staticmethod
    def read(path):
        """Reads mesh.json, which `lrtmesh up` writes."""
        with open(path, encoding="utf-8") as file:
            roles = json.load(file)
        return Profile(roles["extraction"], roles["mapping"], roles["generation"])


def target(address):
    """(target, secure) of a role's address."""
    parts = urlsplit(address)
    if parts.scheme in ("http", "https") and parts.netloc:
        return f"dns:///{parts.netloc}", parts.scheme == "https"
    return address, False


def options():
    """Channel options: calls spread over all replicas, reads are tried again, and a dead connection is noticed."""
    return [
        ("grpc.service_config", json.dumps(service_config())),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.max_pings_without_data", 0),
        # A hidden state stream is flow-controlled by these, and 64 KiB would stall it at each message.
        ("grpc.http2.lookahead_bytes", 4 << 20),
    ]


def service_config():
    """Round robin, and retries when UNAVAILABLE of what the protos declare to have no side effects."""
    return {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [
            {
                "name": _reads(),
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.2s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
    }


def _reads():
    return [
        {"service": service.full_name, "method": method.name}
        for service in services().values()
        for method in service.methods
        if method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    ]


def services():
    """Descriptors of the services of lrtmesh.v1, by name."""
    files = [module.DESCRIPTOR for name, module in vars(v1).items() if name.endswith("_pb2")]
    return {name: service for file in files for name, service in file.services_by_name.items()}
