"""A mesh: a channel to each role and the stubs of its services."""

import threading
from collections import namedtuple

import grpc

from . import v1
from .channels import Profile, options, target
from .hidden_states import Outbox, Reader

Role = namedtuple("Role", "models extraction")
"""Stubs of a role that holds models: ModelServiceStub, ExtractionServiceStub."""


class Stubs:
    """What lrtmesh.Mesh and lrtmesh.aio.Mesh share: a channel to each role, and its stubs. `_grpc` is what opens channels, grpc or grpc.aio."""

    def __init__(self, profile, credentials=None):
        """Opens channels to the roles of a Profile. https addresses use `credentials`, by default the system's roots; so do dns addresses where it is given."""
        self.profile = profile
        self._channels = [self._open(address, credentials) for address in (profile.extraction, profile.mapping, profile.generation)]
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

    def _open(self, address, credentials):
        name, secure = target(address)
        if secure or (credentials is not None and not address.startswith("http:")):
            return self._grpc.secure_channel(name, credentials or grpc.ssl_channel_credentials(), options())
        return self._grpc.insecure_channel(name, options())


class Watched:
    """How far the states of a map job have been read."""

    def __init__(self, job):
        self._id, self._revision, self._broken_at = job.id, 0, 0

    def request(self):
        """Asks for the states that are still to come."""
        return v1.WatchMapJobRequest(id=self._id, after_revision=self._revision)

    def took(self, job):
        """Notes a state, and gives it."""
        self._revision = job.revision
        return job

    def goes_on(self, error):
        """Whether a broken connection is worth another try: not where it breaks twice at one revision."""
        before, self._broken_at = self._broken_at, self._revision
        return error.code() == grpc.StatusCode.UNAVAILABLE and self._revision != before


class Mesh(Stubs):
    """The roles of a mesh. Each attribute is a generated stub: its methods take messages of lrtmesh.v1 and raise grpc.RpcError.

    Extraction and generation both hold models: `extraction_role` and `generation_role` have the stubs for them, and `role_of` finds a model.
    """

    _grpc = grpc

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
        """Yields HiddenStates of batches, each a list of texts or a TextBatch, in order.

        What is not yet sent waits while what came is not yet taken. Where the spec has credit_bytes, no more bytes than these are on their way at
        once; `batches` are then asked for ahead of what is yielded, and must not wait for it.
        """
        outbox, reader = Outbox(spec, batches, threading.Event()), Reader(spec)
        call = self.role_of(spec.model).extraction.ExtractHiddenStates(_requests(outbox), timeout=timeout)
        try:
            for response in call:
                block = reader.take(response)
                outbox.took(response, block)
                if block is not None:
                    yield block
            reader.finish()
        except grpc.RpcError:
            if outbox.failure is not None:
                raise outbox.failure from None
            raise
        finally:
            outbox.close()
            call.cancel()

    def watch(self, job, timeout=None):
        """Yields the states of a MapJob until it has ended; goes on after a broken connection, unless it breaks twice at one revision."""
        watched = Watched(job)
        while True:
            try:
                for response in self.mapping.WatchMapJob(watched.request(), timeout=timeout):
                    yield watched.took(response.job)
                return
            except grpc.RpcError as error:
                if not watched.goes_on(error):
                    raise


def _requests(outbox):
    while True:
        outbox.changed.clear()
        try:
            message = outbox.next()
        except EOFError:
            return
        if message is None:
            outbox.changed.wait()
        else:
            yield message
