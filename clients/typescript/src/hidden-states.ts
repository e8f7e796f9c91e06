import { once } from 'node:events';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { ExtractHiddenStatesRequest } from '../generated/lrtmesh/v1/ExtractHiddenStatesRequest.js';
import type { ExtractHiddenStatesResponse__Output } from '../generated/lrtmesh/v1/ExtractHiddenStatesResponse.js';
import type { ExtractionSpec } from '../generated/lrtmesh/v1/ExtractionSpec.js';
import type { RowBlock__Output } from '../generated/lrtmesh/v1/RowBlock.js';
import { Assembler, BrokenTensorError } from './tensors.js';

/** A block of rows, always of whole texts. */
export interface HiddenStates {
  /** Sequence, position, token and characters of each row. */
  labels: RowBlock__Output;
  /** One array a layer, in the order of the spec: row-major [rows, width]. */
  layers: Float32Array[];
  width: number;
}

type Call = ClientDuplexStream<ExtractHiddenStatesRequest, ExtractHiddenStatesResponse__Output>;

/** Sends batches and reads what comes back, checked on the way. */
export async function* readHiddenStates(call: Call, spec: ExtractionSpec, batches: Iterable<string[]> | AsyncIterable<string[]>): AsyncGenerator<HiddenStates> {
  let failed: unknown;
  const sending = send(call, spec, batches).catch((error) => {
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
      else if (response.part === 'chunk' && block) block.assembler.add(response.chunk!);
      else throw new BrokenTensorError(`an unexpected part: ${response.part}`);
      if (block.assembler.complete) {
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

// Ends early where the call has ended; the reading side learns why.
async function send(call: Call, spec: ExtractionSpec, batches: Iterable<string[]> | AsyncIterable<string[]>): Promise<void> {
  let open = true;
  call.once('status', () => (open = false));
  const write = async (message: ExtractHiddenStatesRequest) => {
    if (open && !call.write(message)) await Promise.race([once(call, 'drain'), once(call, 'status')]).catch(() => {});
  };
  await write({ spec });
  for await (const texts of batches) {
    if (!open) return;
    await write({ batch: { texts } });
  }
  if (open) call.end();
}

function begin(rows: RowBlock__Output, spec: ExtractionSpec, width: number) {
  const count = rows.sequence?.length ?? 0;
  if ([rows.position, rows.tokenId, rows.charStart, rows.charEnd].some((labels) => (labels?.length ?? 0) !== count)) {
    throw new BrokenTensorError('labels of unequal number');
  }
  const headers = rows.layers ?? [];
  if (headers.length !== spec.layers?.length || headers.some((header) => `${header.shape}` !== `${[count, width]}`)) {
    throw new BrokenTensorError(`not ${spec.layers?.length} layers of shape [${count}, ${width}]`);
  }
  return { rows, assembler: new Assembler(headers) };
}
