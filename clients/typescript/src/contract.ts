import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type ChannelOptions, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import type { ProtoGrpcType as ExtractionTypes } from '../generated/extraction.js';
import type { ProtoGrpcType as GenerationTypes } from '../generated/generation.js';
import type { ProtoGrpcType as MappingTypes } from '../generated/mapping.js';
import type { ProtoGrpcType as ModelTypes } from '../generated/model.js';
import type { ProtoGrpcType as VectorTypes } from '../generated/vector.js';

// This file runs as dist/src/contract.js; the package's protos lie beside dist.
const folder = fileURLToPath(new URL('../../protos/', import.meta.url));

const definition = loadSync(
  readdirSync(`${folder}lrtmesh/v1`).map((file) => `lrtmesh/v1/${file}`),
  { includeDirs: [folder], longs: String, enums: String, oneofs: true },
);

/** The generated constructors of the services' clients. */
export const { v1 } = (loadPackageDefinition(definition) as unknown as ExtractionTypes & GenerationTypes & MappingTypes & ModelTypes & VectorTypes).lrtmesh;

// What the protos declare to have no side effects.
const reads = Object.entries(definition)
  .filter(([name]) => name.endsWith('Service'))
  .flatMap(([service, methods]) =>
    Object.entries(methods as ServiceDefinition)
      .filter(([, method]) => method.options?.idempotency_level === 'NO_SIDE_EFFECTS')
      .map(([method]) => ({ service, method })),
  );

/** Calls spread over all replicas, reads are tried again when UNAVAILABLE, and a dead connection is noticed. */
export const channelOptions: ChannelOptions = {
  'grpc.service_config': JSON.stringify({
    loadBalancingConfig: [{ round_robin: {} }],
    methodConfig: [
      {
        name: reads,
        retryPolicy: { maxAttempts: 4, initialBackoff: '0.2s', maxBackoff: '2s', backoffMultiplier: 2, retryableStatusCodes: ['UNAVAILABLE'] },
      },
    ],
  }),
  'grpc.keepalive_time_ms': 60_000,
  'grpc.keepalive_timeout_ms': 20_000,
};
