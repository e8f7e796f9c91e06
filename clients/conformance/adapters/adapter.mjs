// The TypeScript client as the conformance runner drives it: a step a line on standard input, its outcome a line on standard output.
import { createInterface } from 'node:readline';
import { decode, details, encode, isServiceError, Mesh } from '../../typescript/dist/src/index.js';

const mesh = Mesh.open(process.argv[2]);
const limitsOf = (step) => (step.deadline ? { timeout: step.deadline * 1000 } : {});
const sumOfSquares = (elements) => elements.reduce((sum, x) => sum + x * x, 0);

// Numbers that a float32 holds exactly, the same in every client.
const pattern = (count, scale) => Float32Array.from({ length: count }, (_, i) => (((i * 37) % 101) - 50) / 8 * scale);

const steps = {
  async call(step) {
    const [service, method] = step.method.split('/');
    const role = step.role === 'generation' ? mesh.generationRole : mesh.extractionRole;
    const client = { ModelService: role.models, ExtractionService: role.extraction, MappingService: mesh.mapping, VectorService: mesh.vectors }[service];
    return client[method](step.request, limitsOf(step));
  },

  async generate(step) {
    const outcome = { text: '', tokens: 0 };
    const cancel = new AbortController();
    let parts = 0;
    for await (const part of mesh.generate(step.request, { ...limitsOf(step), signal: cancel.signal })) {
      if (part.part === 'text') {
        outcome.text += part.text.text ?? '';
        outcome.tokens += part.text.tokenIds?.length ?? 0;
        if (++parts === step.cancelAfter) cancel.abort();
      } else {
        outcome[part.part] = part[part.part];
      }
    }
    return outcome;
  },

  async job(step) {
    let { job } = await mesh.mapping.createMapJob(step.request);
    let states = 0;
    for await (job of mesh.watch(job.id, limitsOf(step))) states++;
    return { job, states };
  },

  async hiddenStates(step) {
    const outcome = { rows: 0, tokenIds: [], positions: [], positionEnds: [], spans: [], sumOfSquares: step.spec.layers.map(() => 0) };
    const texts = new Set();
    for await (const { labels, layers, width } of mesh.hiddenStates(step.spec, step.batches, limitsOf(step))) {
      outcome.firstRow ??= [...layers[0].slice(0, 4)];
      outcome.charEnd ??= labels.charEnd[0];
      outcome.width = width;
      outcome.rows += labels.sequence.length;
      labels.sequence.forEach((sequence) => texts.add(sequence));
      outcome.tokenIds.push(...labels.tokenId);
      outcome.positions.push(...labels.position);
      outcome.positionEnds.push(...(labels.positionEnd ?? []));
      outcome.spans.push(...(labels.span ?? []));
      layers.forEach((layer, i) => (outcome.sumOfSquares[i] += sumOfSquares(layer)));
    }
    for (const name of ['tokenIds', 'positions', 'positionEnds', 'spans']) outcome[name] = outcome[name].slice(0, 8);
    return { ...outcome, texts: texts.size };
  },

  async roundTrip(step) {
    const elements = pattern(step.width, 1);
    const stored = await mesh.vectors.putVector({ vector: step.vector, elements: encode(elements) });
    const back = await mesh.vectors.getVector({ name: stored.vector.name });
    return { equal: Buffer.from(decode(back.elements).buffer).equals(Buffer.from(elements.buffer)), vector: back.vector };
  },

  async applyMap(step) {
    const rows = encode(pattern(step.rows * step.width, step.scale), [step.rows, step.width]);
    const answer = await mesh.mapping.applyMap({ map: step.map, rows, withoutBias: step.withoutBias ?? false }, limitsOf(step));
    const [count, width] = answer.rows.header.shape;
    return { rows: count, width, sumOfSquares: sumOfSquares(decode(answer.rows)), digest: answer.mapDigest };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const step = JSON.parse(line);
  let outcome;
  try {
    outcome = { ok: await steps[step.do](step) };
  } catch (error) {
    if (isServiceError(error)) outcome = { error: details(error) };
    else if (error instanceof RangeError) outcome = { error: { status: 'CLIENT', message: error.message, reason: '', fields: {} } };
    else throw error;
  }
  console.log(JSON.stringify(outcome));
}
mesh.close();
