"""The same mesh for asyncio."""

import grpc
import grpc.aio

from . import v1
from .channels import Profile, options, target
from .hidden_states import Reader, requests
from .mesh import Role


class Mesh:
    """As lrtmesh.Mesh, with the stubs of grpc.aio: unary calls are awaited, streams are iterated with `async for`."""

    def __init__(self, profile, credentials=None):
        """Opens channels to the roles of a Profile; call it where the event loop runs."""
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

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    async def close(self):
        """Closes the channels; calls that run are cancelled."""
        for channel in self._channels:
            await channel.close()

    async def role_of(self, model):
        """The Role that holds a model. Raises KeyError."""
        for role in (self.extraction_role, self.generation_role):
            held = await role.models.ListModels(v1.ListModelsRequest(), timeout=60)
            if any(model == each.name for each in held.models):
                return role
        raise KeyError(f"no role of this mesh holds a model '{model}'")

    async def hidden_states(self, spec, batches, timeout=None):
        """Yields HiddenStates of batches of texts, in order."""
        role = await self.role_of(spec.model)
        call = role.extraction.ExtractHiddenStates(requests(spec, batches), timeout=timeout)
        reader = Reader(spec)
        try:
            async for response in call:
                block = reader.take(response)
                if block is not None:
                    yield block
            reader.finish()
        finally:
            call.cancel()

    async def watch(self, job, timeout=None):
        """Yields the states of a MapJob until it has ended; goes on after a broken connection, unless it breaks twice at one revision."""
        revision, broken_at = 0, 0
        while True:
            try:
                request = v1.WatchMapJobRequest(id=job.id, after_revision=revision)
                async for response in self.mapping.WatchMapJob(request, timeout=timeout):
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
        return grpc.aio.secure_channel(name, credentials or grpc.ssl_channel_credentials(), options())
    return grpc.aio.insecure_channel(name, options())
