"""The same mesh for asyncio."""

import asyncio

import grpc
import grpc.aio

from . import v1
from .hidden_states import Outbox, Reader
from .mesh import Stubs, Watched


class Mesh(Stubs):
    """As lrtmesh.Mesh, with the stubs of grpc.aio: unary calls are awaited, streams are iterated with `async for`. Make it where the event loop runs."""

    _grpc = grpc.aio

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
        """As lrtmesh.Mesh.hidden_states."""
        role = await self.role_of(spec.model)
        outbox, reader = Outbox(spec, batches, asyncio.Event()), Reader(spec)
        call = role.extraction.ExtractHiddenStates(_requests(outbox), timeout=timeout)
        try:
            async for response in call:
                block = reader.take(response)
                outbox.took(response, block)
                if block is not None:
                    yield block
            reader.finish()
        except (grpc.RpcError, asyncio.CancelledError):
            if outbox.failure is not None:
                raise outbox.failure from None
            raise
        finally:
            outbox.close()
            call.cancel()

    async def watch(self, job, timeout=None):
        """As lrtmesh.Mesh.watch."""
        watched = Watched(job)
        while True:
            try:
                async for response in self.mapping.WatchMapJob(watched.request(), timeout=timeout):
                    yield watched.took(response.job)
                return
            except grpc.RpcError as error:
                if not watched.goes_on(error):
                    raise


async def _requests(outbox):
    while True:
        outbox.changed.clear()
        try:
            message = outbox.next()
        except EOFError:
            return
        if message is None:
            await outbox.changed.wait()
        else:
            yield message
