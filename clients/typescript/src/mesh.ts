import { readFileSync } from 'node:fs';
import { type ChannelCredentials, type Client, credentials, status } from '@grpc/grpc-js';
import type { ExtractionServiceClient } from '../generated/lrtmesh/v1/ExtractionService.js';
import type { ExtractionSpec } from '../generated/lrtmesh/v1/ExtractionSpec.js';
import type { GenerateRequest } from '../generated/lrtmesh/v1/GenerateRequest.js';
import type { GenerateResponse__Output } from '../generated/lrtmesh/v1/GenerateResponse.js';
import type { MapJob__Output } from '../generated/lrtmesh/v1/MapJob.js';
import type { MappingServiceClient } from '../generated/lrtmesh/v1/MappingService.js';
import type { ModelServiceClient } from '../generated/lrtmesh/v1/ModelService.js';
import type { VectorServiceClient } from '../generated/lrtmesh/v1/VectorService.js';
import { callOptions, type Limits, obey, type Promised, promised } from './calls.js';
import { channelOptions, v1 } from './contract.js';
import { isServiceError } from './errors.js';
import { type Batch, type HiddenStates, readHiddenStates } from './hidden-states.js';

/** Addresses of the roles, such as http://127.0.0.1:5001, or dns:///HOST:PORT for all replicas behind a name. */
export interface Profile {
  extraction: string;
  mapping: string;
  generation: string;
}

/** Clients of a role that holds models. */
export interface Role {
  models: Promised<ModelServiceClient>;
  extraction: Promised<ExtractionServiceClient>;
}

/** The roles of a mesh. Extraction and generation roles both hold models. */
export class Mesh {
  readonly extractionRole: Role;
  readonly generationRole: Role;
  readonly mapping: Promised<MappingServiceClient>;
  readonly vectors: Promised<VectorServiceClient>;
  readonly #clients: Client[] = [];
  readonly #streams = new Map<Role, ExtractionServiceClient>();
  readonly #generation;
  readonly #mapping;

  /** Opens channels to the roles; https addresses use `secure`, by default the system's roots. So do dns addresses where it is given. */
  constructor(profile: Profile, secure?: ChannelCredentials) {
    const open = <C extends Client>(service: new (...args: ConstructorParameters<typeof Client>) => C, address: string): C => {
      const { protocol, host } = new URL(address);
      const plain = protocol === 'http:' || protocol === 'https:';
      const shown = protocol === 'https:' ? (secure ?? credentials.createSsl()) : protocol === 'dns:' && secure ? secure : credentials.createInsecure();
      const client = new service(plain ? `dns:///${host}` : address, shown, channelOptions);
      this.#clients.push(client);
      return client;
    };
    const role = (address: string): Role => {
      const role = { models: promised(open(v1.ModelService, address)), extraction: promised(open(v1.ExtractionService, address)) };
      this.#streams.set(role, open(v1.ExtractionService, address));
      return role;
    };
    this.extractionRole = role(profile.extraction);
    this.generationRole = role(profile.generation);
    this.#mapping = open(v1.MappingService, profile.mapping);
    this.mapping = promised(this.#mapping);
    this.vectors = promised(open(v1.VectorService, profile.mapping));
    this.#generation = open(v1.GenerationService, profile.generation);
  }

  /** Opens the mesh of a profile file, which `lrtmesh up` writes. */
  static open(path = '.lrtmesh/mesh.json', secure?: ChannelCredentials): Mesh {
    return new Mesh(JSON.parse(readFileSync(path, 'utf8')), secure);
  }

  /** Closes the channels; calls that run are cancelled. */
  close(): void {
    this.#clients.forEach((client) => client.close());
  }

  /** Finds the role that holds a model. */
  async roleOf(model: string, limits: Limits = {}): Promise<Role> {
    for (const role of [this.extractionRole, this.generationRole]) {
      const held = await role.models.listModels({}, limits);
      if (held.models?.some(({ name }) => name === model)) return role;
    }
    throw new RangeError(`no role of this mesh holds a model '${model}'`);
  }

  /** Generates: `started`, runs of `text`, `finished`. Ending the iteration early cancels the call. */
  async *generate(request: GenerateRequest, limits: Limits = {}): AsyncGenerator<GenerateResponse__Output> {
    yield* obey(this.#generation.generate(request, callOptions(limits)), limits.signal);
  }

  /**
   * Streams hidden states of batches, in order. Where the spec has `creditBytes`, what was read is granted again, so that no more bytes than these are
   * on their way at once.
   */
  async *hiddenStates(spec: ExtractionSpec, batches: Iterable<Batch> | AsyncIterable<Batch>, limits: Limits = {}): AsyncGenerator<HiddenStates> {
    const streams = this.#streams.get(await this.roleOf(spec.model ?? '', limits))!;
    yield* readHiddenStates(obey(streams.extractHiddenStates(callOptions(limits)), limits.signal), spec, batches);
  }

  /** Gives the states of a map job until it has ended; goes on after a broken connection, unless it breaks twice at one revision. */
  async *watch(id: string, limits: Limits = {}): AsyncGenerator<MapJob__Output> {
    let revision = '0';
    let brokenAt = '0';
    for (;;) {
      try {
        for await (const { job } of obey(this.#mapping.watchMapJob({ id, afterRevision: revision }, callOptions(limits)), limits.signal)) {
          revision = job?.revision ?? revision;
          yield job!;
        }
        return;
      } catch (error) {
        if (!isServiceError(error) || error.code !== status.UNAVAILABLE || revision === brokenAt) throw error;
        brokenAt = revision;
      }
    }
  }
}
