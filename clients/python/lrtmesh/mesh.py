"""A mesh: a channel to each role and the stubs of its services."""

from collections import namedtuple

import grpc

from . import v1
from .channels import Profile, options, target
from .hidden_states import Reader, requests

Role = namedtuple("Role", "models extraction")
"""Stubs of a role that holds models: ModelServiceStub, ExtractionServiceStub."""


class Mesh:
    """The roles of a mesh. Each attribute is a generated stub: its methods take messages of lrtmesh.v1 and raise grpc.RpcError.

    Extraction and generation both hold models: `extraction` and `generation_role` have the stubs for them, and `role_of` finds a model.
    """

    def __init__(self, profile, credentials=None):
        """Opens channels to the roles of a Profile. https addresses use `credentials`, by default the system's roots."""
        self.profile = profile
        self._channels = [_open(address, credentials) for address in (profile.extraction, profile.mapping, profile.generation)]
        extraction, mapping, generation = self._channels
        self.extraction_role = Role(v1.ModelServiceStub(extraction), v1.ExtractionServiceStub(extraction))
        self.generation_role = Role(v1.ModelServiceStub(generation), v1.ExtractionServiceStub(generation))
        self.mapping = v1.MappingServiceStub(mapping)
        self.vectors = v1.VectorServiceStub(mapping)
        self.generation = v1.GenerationServiceStub(generation)

    @classmethod
    def open(cls, profile=".lrtmesh/mesh.json", credentials=None):
        """Opens the mesh of a profile file, which `lrtmesh up` writes."""
        return cls(Profile.read(profile), credentials)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes the channels; calls that run are cancelled."""
        for channel in self._channels:
            channel.close()

    def role_of(self, model):
        """The Role that holds a model. Raises KeyError."""
        for role in (self.extraction_role, self.generation_role):
            if any(model == held.name for held in role.models.ListModels(v1.ListModelsRequest(), timeout=60).models):
                return role
        raise KeyError(f"no role of this mesh holds a model '{model}'")

    def hidden_states(self, spec, batches, timeout=None):
        """Yields HiddenStates of batches of texts, in order. What is not yet sent waits while what came is not yet taken."""
        call = self.role_of(spec.model).extraction.ExtractHiddenStates(requests(spec, batches), timeout=timeout)
        reader = Reader(spec)
        try:
            for response in call:
                block = reader.take(response)
                if block is not None:
                    yield block
            reader.finish()
        finally:
            call.cancel()

    def watch(self, job, timeout=None):
        """Yields the states of a MapJob until it has ended; goes on after a broken connection, unless it breaks twice at one revision."""
        revision, broken_at = 0, 0
        while True:
            try:
                for response in self.mapping.WatchMapJob(v1.WatchMapJobRequest(id=job.id, after_revision=revision), timeout=timeout):
                    revision = response.job.revision
                    yield response.job
                return
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE or revision == broken_at:
                    raise
                broken_at = revision


def _open(address, credentials):
    name, secure = target(address)
    if secure:
        return grpc.secure_channel(name, credentials or grpc.ssl_channel_credentials(), options())
    return grpc.insecure_channel(name, options())
