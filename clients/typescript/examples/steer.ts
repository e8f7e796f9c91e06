// The main job: learn a vector in a small model, fit a map, carry the vector over, and steer the large model by it.
// Run it at the root of the repository, with `./lrtmesh up` in another terminal.
import { readFileSync } from 'node:fs';
import { details, isServiceError, Mesh } from '../src/index.js';

const small = { model: 'tiny-medium', layer: 3 };
const large = { model: 'tiny-large', layer: 5 };
const minutes = { timeout: 600_000 };

const behaviour = JSON.parse(readFileSync('models/tiny/behaviours/polite.json', 'utf8'));
const pairs = behaviour.contrast.map(({ positive, negative }: Record<string, string>) => ({ positive, negative }));
const documents = readFileSync('models/tiny/text/map.jsonl', 'utf8').split('\n').slice(0, 400).map((line) => ({ text: JSON.parse(line).text }));

const mesh = Mesh.open(process.argv[2]);

async function answer(coefficient?: number, vector = 'polite-large') {
  let text = '';
  const steering = coefficient === undefined ? [] : [{ vector, coefficient }];
  const request = { model: large.model, prompt: 'Mia And The Red Lantern', sampling: { temperature: 0 }, stopping: { maxTokens: 40 }, steering };
  for await (const part of mesh.generate(request, minutes)) {
    text += part.text?.text ?? '';
    if (part.finished) return { text, applied: part.finished.steering?.[0] };
  }
  throw new Error('no end of the answer');
}

const learnt = await mesh.extractionRole.extraction.learnVector(
  { name: 'polite', model: small.model, layers: [small.layer], pairs, position: 'LEARN_POSITION_MEAN' },
  minutes,
);
console.log(`learnt polite in ${small.model}: it tells held-out pairs apart with AUC ${learnt.vectors?.[0].auc?.toFixed(2)}`);

let { job } = await mesh.mapping.createMapJob({ map: 'small-to-large', source: small, target: large, documents });
for await (job of mesh.watch(job!.id!, minutes));
if (job?.state !== 'JOB_STATE_SUCCEEDED') throw new Error(`the map job ended ${job?.state}: ${job?.error}`);
console.log(`fitted ${job.map} on ${job.result?.metrics?.rows} rows: R² ${job.result?.metrics?.r2?.toFixed(2)} on held-out documents`);

const { vector } = await mesh.mapping.transferVector({ vector: 'polite', map: 'small-to-large', name: 'polite-large' });
console.log(`carried it over to ${vector?.model}: norm ${vector?.norm?.toFixed(2)}`);

const plain = await answer();
const steered = await answer(8);
console.log(`\nunsteered:${plain.text}\n\nsteered:${steered.text}\n`);
const proof = steered.applied;
console.log(`proof: ${proof?.positions} positions of layer ${proof?.layer} changed by ${(100 * (proof?.meanRelativeChange ?? 0)).toFixed(1)}%, vector ${proof?.vectorDigest?.slice(0, 19)}`);

// A wrong request says which field is wrong.
try {
  await answer(8, 'no-such-vector');
} catch (error) {
  if (!isServiceError(error)) throw error;
  console.log(details(error));
}
mesh.close();
