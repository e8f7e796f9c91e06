"""The Python client as the conformance runner drives it: a step a line on standard input, its outcome a line on standard output."""

import itertools
import json
import sys

import grpc
import lrtmesh
import numpy as np
from google.protobuf import json_format
from lrtmesh import tensors, v1


def message(kind, fields):
    return json_format.ParseDict(fields, kind())


def plain(answer):
    return json_format.MessageToDict(answer)


def stub(mesh, service, role):
    return {
        "ModelService": getattr(mesh, f"{role}_role", mesh.extraction_role).models,
        "ExtractionService": getattr(mesh, f"{role}_role", mesh.extraction_role).extraction,
        "MappingService": mesh.mapping,
        "VectorService": mesh.vectors,
        "GenerationService": mesh.generation,
    }[service]


def call(mesh, step):
    service, method = step["method"].split("/")
    kind = getattr(v1, f"{method}Request")
    return plain(getattr(stub(mesh, service, step.get("role")), method)(message(kind, step["request"]), timeout=step.get("deadline")))


def generate(mesh, step):
    stream = mesh.generation.Generate(message(v1.GenerateRequest, step["request"]), timeout=step.get("deadline"))
    outcome, parts = {"text": "", "tokens": 0}, 0
    for part in stream:
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


def job(mesh, step):
    created = mesh.mapping.CreateMapJob(message(v1.CreateMapJobRequest, step["request"])).job
    states = list(mesh.watch(created, timeout=step.get("deadline")))
    return {"job": plain(states[-1]), "states": len(states)}


def batches(step):
    return [message(v1.TextBatch, batch) if isinstance(batch, dict) else batch for batch in step["batches"]]


def hidden_states(mesh, step):
    return outcome_of_states(list(mesh.hidden_states(message(v1.ExtractionSpec, step["spec"]), batches(step), timeout=step.get("deadline"))))


def outcome_of_states(blocks):
    layers = [np.concatenate(layer) for layer in zip(*(block.layers for block in blocks))]

    def first(label):
        return list(map(int, itertools.chain.from_iterable(getattr(block, label) for block in blocks)))[:8]

    return {
        "texts": len(np.unique(np.concatenate([block.sequence for block in blocks]))),
        "tokenIds": first("token_id"),
        "positions": first("position"),
        "positionEnds": first("position_end"),
        "spans": first("span"),
        "charEnd": int(blocks[0].char_end[0]),
        "rows": len(layers[0]),
        "width": layers[0].shape[1],
        "sumOfSquares": [float(np.sum(layer.astype(np.float64) ** 2)) for layer in layers],
        "firstRow": [float(x) for x in layers[0][0][:4]],
    }


def pattern(count, scale):
    """Numbers that a float32 holds exactly, the same in every client."""
    return ((np.arange(count, dtype=np.int64) * 37 % 101 - 50) / 8 * scale).astype(np.float32)


def round_trip(mesh, step):
    elements = pattern(step["width"], 1)
    request = v1.PutVectorRequest(vector=message(v1.Vector, step["vector"]), elements=tensors.encode(elements))
    stored = mesh.vectors.PutVector(request).vector
    back = mesh.vectors.GetVector(v1.GetVectorRequest(name=stored.name))
    return {"equal": bool(np.array_equal(tensors.decode(back.elements), elements)), "vector": plain(back.vector)}


def apply_map(mesh, step):
    rows = pattern(step["rows"] * step["width"], step["scale"]).reshape(step["rows"], step["width"])
    request = v1.ApplyMapRequest(map=step["map"], rows=tensors.encode(rows), without_bias=step.get("withoutBias", False))
    answer = mesh.mapping.ApplyMap(request, timeout=step.get("deadline"))
    mapped = tensors.decode(answer.rows).astype(np.float64)
    return {"rows": mapped.shape[0], "width": mapped.shape[1], "sumOfSquares": float(np.sum(mapped**2)), "digest": answer.map_digest}


STEPS = {"call": call, "generate": generate, "job": job, "hiddenStates": hidden_states, "roundTrip": round_trip, "applyMap": apply_map}


def main():
    with lrtmesh.Mesh.open(sys.argv[1]) as mesh:
        for line in sys.stdin:
            step = json.loads(line)
            try:
                outcome = {"ok": STEPS[step["do"]](mesh, step)}
            except grpc.RpcError as error:
                found = lrtmesh.details(error)
                outcome = {"error": {"status": found.status.name, "message": found.message, "reason": found.reason, "fields": found.fields}}
            except ValueError as error:
                outcome = {"error": {"status": "CLIENT", "message": str(error), "reason": "", "fields": {}}}
            print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main()
