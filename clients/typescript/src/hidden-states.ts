import { once } from 'node:events';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { ExtractHiddenStatesRequest } from '../generated/lrtmesh/v1/ExtractHiddenStatesRequest.js';
import type { ExtractHiddenStatesResponse__Output } from '../generated/lrtmesh/v1/ExtractHiddenStatesResponse.js';
import type { ExtractionSpec } from '../generated/lrtmesh/v1/ExtractionSpec.js';
import type { RowBlock__Output } from '../generated/lrtmesh/v1/RowBlock.js';
import type { TextBatch } from '../generated/lrtmesh/v1/TextBatch.js';
import { Assembler, BrokenTensorError } from './tensors.js';

/** A block of rows, always of whole texts. */
export interface HiddenStates {
  /** Sequence, position, token and characters of each row; of means their end, of spans which. */
  labels: RowBlock__Output;
  /** One array a layer, in the order of the spec: row-major [rows, width]. */
  layers: Float32Array[];
  width: number;
}

/** Texts, or a TextBatch: texts or chats, with their spans where the spec's reduction is by span. */
export type Batch = string[] | TextBatch;

type Call = ClientDuplexStream<ExtractHiddenStatesRequest, ExtractHiddenStatesResponse__Output>;
type Batches = Iterable<Batch> | AsyncIterable<Batch>;

/** Sends batches and reads what comes back, checked on the way. */
export async function* readHiddenStates(call: Call, spec: ExtractionSpec, batches: Batches): AsyncGenerator<HiddenStates> {
  let failed: unknown;
  const sender = new Sender(call, spec);
  const sending = sender.send(batches).catch((error) => {
    failed = error;
    call.cancel();
  });
  try {
    let width: number | undefined;
    let block: { rows: RowBlock__Output; assembler: Assembler } | undefined;
    for await (const response of call) {
      if (response.part === 'started' && width === undefined) {
        width = response.started?.width ?? 0;
        continue;
      }
      if (response.part === 'rows' && width !== undefined && !block) block = begin(response.rows!, spec, width);
      else if (response.part === 'chunk' && block) {
        block.assembler.add(response.chunk!);
        sender.grant(response.chunk!.data?.length ?? 0);
      } else throw new BrokenTensorError(`an unexpected part: ${response.part}`);
      if (block.assembler.complete) {
        sender.answered(block.rows.sequence?.at(-1) ?? -1);
        yield { labels: block.rows, layers: block.assembler.tensors(), width: width! };
        block = undefined;
      }
    }
    if (block) throw new BrokenTensorError('the stream ended within a block of rows');
  } catch (error) {
    throw failed ?? error;
  } finally {
    call.cancel();
    await sending;
  }
}

/**
 * Sends the spec, the batches and, on a stream with credits, the credits. There it lets no more batches wait for their answer than the server allows, and
 * closes its side only when all are answered, since credit can be granted no longer then.
 */
class Sender {
  static readonly #maxWaiting = 16; // as ExtractionSpec.credit_bytes says
  readonly #call: Call;
  readonly #spec: ExtractionSpec;
  readonly #credit: number;
  #open = true;
  #read = 0; // bytes, and not yet granted again
  #ends: number[] = []; // of each batch that waits: one past its last text, counted over the stream
  #wake = () => {};

  constructor(call: Call, spec: ExtractionSpec) {
    this.#call = call;
    this.#spec = spec;
    this.#credit = Number(spec.creditBytes ?? 0);
    call.once('status', () => {
      this.#open = false;
      this.#wake();
    });
  }

  // Ends early where the call has ended; the reading side learns why.
  async send(batches: Batches): Promise<void> {
    await this.#write({ spec: this.#spec });
    let end = 0;
    for await (const each of batches) {
      const batch = Array.isArray(each) ? { texts: each } : each;
      if (this.#credit > 0) {
        await this.#fewerThan(Sender.#maxWaiting);
        this.#ends.push((end += (batch.texts?.length ?? 0) + (batch.chats?.length ?? 0)));
      }
      if (!this.#open) return;
      await this.#write({ batch });
    }
    await this.#fewerThan(1);
    if (this.#open) this.#call.end();
  }

  /** Lets the server send as many bytes again; once half of the credit is used up, so that chunks do not shrink. */
  grant(bytes: number): void {
    this.#read += bytes;
    if (!this.#open || this.#credit === 0 || this.#read < Math.max(1, this.#credit / 2)) return;
    this.#call.write({ credit: { bytes: this.#read } });
    this.#read = 0;
  }

  /** Notes that the rows of a text, and so of those before it, have come. */
  answered(sequence: number): void {
    while (this.#ends.length > 0 && sequence + 1 >= this.#ends[0]!) this.#ends.shift();
    this.#wake();
  }

  async #fewerThan(waiting: number): Promise<void> {
    while (this.#open && this.#ends.length >= waiting) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  async #write(message: ExtractHiddenStatesRequest): Promise<void> {
    if (this.#open && !this.#call.write(message)) await Promise.race([once(this.#call, 'drain'), once(this.#call, 'status')]).catch(() => {});
  }
}

function begin(rows: RowBlock__Output, spec: ExtractionSpec, width: number) {
  const count = rows.sequence?.length ?? 0;
  const unequal = (labels?: number[]) => (labels?.length ?? 0) !== count;
  if ([rows.position, rows.tokenId, rows.charStart, rows.charEnd].some(unequal) || [rows.positionEnd, rows.span].some((labels) => labels?.length && unequal(labels))) {
    throw new BrokenTensorError('labels of unequal number');
  }
  const headers = rows.layers ?? [];
  if (headers.length !== spec.layers?.length || headers.some((header) => `${header.shape}` !== `${[count, width]}`)) {
    throw new BrokenTensorError(`not ${spec.layers?.length} layers of shape [${count}, ${width}]`);
  }
  return { rows, assembler: new Assembler(headers) };
}
