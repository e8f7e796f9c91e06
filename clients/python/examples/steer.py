"""The main job: learn a vector in a small model, fit a map, carry the vector over, and steer the large model by it.

    ./lrtmesh up                                  # in another terminal, at the root of the repository
    python clients/python/examples/steer.py
"""

import json
import pathlib
import sys

import grpc
import lrtmesh
from lrtmesh import v1

ROOT = pathlib.Path(__file__).resolve().parents[3]
SMALL, LARGE = v1.LayerRef(model="tiny-medium", layer=3), v1.LayerRef(model="tiny-large", layer=5)


def contrast_pairs():
    behaviour = json.loads((ROOT / "models/tiny/behaviours/polite.json").read_text())
    return [v1.ContrastPair(positive=pair["positive"], negative=pair["negative"]) for pair in behaviour["contrast"]]


def texts(count):
    with open(ROOT / "models/tiny/text/map.jsonl", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line, _ in zip(lines, range(count))]


def answer(mesh, prompt, steering):
    request = v1.GenerateRequest(model=LARGE.model, prompt=prompt, steering=steering)
    request.sampling.temperature = 0
    request.stopping.max_tokens = 40
    text = ""
    for part in mesh.generation.Generate(request, timeout=120):
        text += part.text.text
        if part.HasField("finished"):
            return text, part.finished


with lrtmesh.Mesh.open(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".lrtmesh/mesh.json") as mesh:
    learnt = mesh.extraction_role.extraction.LearnVector(
        v1.LearnVectorRequest(name="polite", model=SMALL.model, layers=[SMALL.layer], pairs=contrast_pairs(), position=v1.LEARN_POSITION_MEAN),
        timeout=300,
    ).vectors[0]
    print(f"learnt {learnt.vector.name} in {SMALL.model}: it tells held-out pairs apart with AUC {learnt.auc:.2f}")

    documents = [v1.Document(text=text) for text in texts(400)]
    job = mesh.mapping.CreateMapJob(v1.CreateMapJobRequest(map="small-to-large", source=SMALL, target=LARGE, documents=documents)).job
    for job in mesh.watch(job, timeout=600):
        pass
    if job.state != v1.JOB_STATE_SUCCEEDED:
        raise SystemExit(f"the map job ended {v1.JobState.Name(job.state)}: {job.error}")
    print(f"fitted {job.map} on {job.result.metrics.rows} rows: R² {job.result.metrics.r2:.2f} on held-out documents")

    mapped = mesh.mapping.TransferVector(v1.TransferVectorRequest(vector="polite", map="small-to-large", name="polite-large")).vector
    print(f"carried it over to {mapped.model}: norm {mapped.norm:.2f}")

    prompt = "Mia And The Red Lantern"
    plain, _ = answer(mesh, prompt, [])
    steered, finished = answer(mesh, prompt, [v1.Steering(vector="polite-large", coefficient=8)])
    proof = finished.steering[0]
    print(f"\nunsteered:{plain}\n\nsteered:{steered}\n")
    print(f"proof: {proof.positions} positions of layer {proof.layer} changed by {proof.mean_relative_change:.1%}, vector {proof.vector_digest[:19]}")

    # A wrong request says which field is wrong.
    try:
        answer(mesh, prompt, [v1.Steering(vector="no-such-vector", coefficient=8)])
    except grpc.RpcError as error:
        print(lrtmesh.details(error))
