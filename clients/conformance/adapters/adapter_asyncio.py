"""The asyncio face of the Python client as the conformance runner drives it."""

import asyncio
import json
import sys

import grpc
import lrtmesh
import numpy as np
from adapter import batches, message, outcome_of_states, pattern, plain, stub
from lrtmesh import tensors, v1


async def call(mesh, step):
    service, method = step["method"].split("/")
    request = message(getattr(v1, f"{method}Request"), step["request"])
    return plain(await getattr(stub(mesh, service, step.get("role")), method)(request, timeout=step.get("deadline")))


async def generate(mesh, step):
    stream = mesh.generation.Generate(message(v1.GenerateRequest, step["request"]), timeout=step.get("deadline"))
    outcome, parts = {"text": "", "tokens": 0}, 0
    async for part in stream:
        kind = part.WhichOneof("part")
        if kind == "text":
            outcome["text"] += part.text.text
            outcome["tokens"] += len(part.text.token_ids)
            parts += 1
            if parts == step.get("cancelAfter"):
                stream.cancel()
        else:
            outcome[kind] = plain(getattr(part, kind))
    return outcome


async def job(mesh, step):
    created = (await mesh.mapping.CreateMapJob(message(v1.CreateMapJobRequest, step["request"]))).job
    states = [state async for state in mesh.watch(created, timeout=step.get("deadline"))]
    return {"job": plain(states[-1]), "states": len(states)}


async def hidden_states(mesh, step):
    states = mesh.hidden_states(message(v1.ExtractionSpec, step["spec"]), batches(step), timeout=step.get("deadline"))
    return outcome_of_states([block async for block in states])


async def round_trip(mesh, step):
    elements = pattern(step["width"], 1)
    request = v1.PutVectorRequest(vector=message(v1.Vector, step["vector"]), elements=tensors.encode(elements))
    stored = (await mesh.vectors.PutVector(request)).vector
    back = await mesh.vectors.GetVector(v1.GetVectorRequest(name=stored.name))
    return {"equal": bool(np.array_equal(tensors.decode(back.elements), elements)), "vector": plain(back.vector)}


async def apply_map(mesh, step):
    rows = pattern(step["rows"] * step["width"], step["scale"]).reshape(step["rows"], step["width"])
    request = v1.ApplyMapRequest(map=step["map"], rows=tensors.encode(rows), without_bias=step.get("withoutBias", False))
    answer = await mesh.mapping.ApplyMap(request, timeout=step.get("deadline"))
    mapped = tensors.decode(answer.rows).astype(np.float64)
    return {"rows": mapped.shape[0], "width": mapped.shape[1], "sumOfSquares": float(np.sum(mapped**2)), "digest": answer.map_digest}


STEPS = {"call": call, "generate": generate, "job": job, "hiddenStates": hidden_states, "roundTrip": round_trip, "applyMap": apply_map}


async def outcome_of(mesh, step):
    try:
        return {"ok": await STEPS[step["do"]](mesh, step)}
    except grpc.RpcError as error:
        found = lrtmesh.details(error)
        return {"error": {"status": found.status.name, "message": found.message, "reason": found.reason, "fields": found.fields}}
    except asyncio.CancelledError:
        # Cancelling a stream of grpc.aio cancels whoever reads it.
        return {"error": {"status": "CANCELLED", "message": "", "reason": "", "fields": {}}}
    except ValueError as error:
        return {"error": {"status": "CLIENT", "message": str(error), "reason": "", "fields": {}}}


async def main():
    async with lrtmesh.aio.Mesh.open(sys.argv[1]) as mesh:
        while line := await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
            print(json.dumps(await outcome_of(mesh, json.loads(line))), flush=True)


asyncio.run(main())
