import type { CallOptions, Client, ClientUnaryCall, requestCallback, ServiceError } from '@grpc/grpc-js';

/** How long a call may take, and what ends it. */
export interface Limits {
  /** Milliseconds from now; without one the call waits. */
  timeout?: number;
  signal?: AbortSignal;
}

/** The unary methods of a generated client, with promises. */
export type Promised<C> = {
  [M in keyof C as C[M] extends (request: infer _Q, callback: requestCallback<infer _R>) => ClientUnaryCall ? M : never]: C[M] extends (
    request: infer Q,
    callback: requestCallback<infer R>,
  ) => ClientUnaryCall
    ? (request: Q, limits?: Limits) => Promise<R>
    : never;
};

/** gRPC's options of a call with these limits. */
export function callOptions(limits: Limits): CallOptions {
  return limits.timeout === undefined ? {} : { deadline: Date.now() + limits.timeout };
}

/** Cancels a call when its signal is aborted, and returns it. */
export function obey<T extends { cancel(): void; once(event: string, listener: () => void): unknown }>(call: T, signal?: AbortSignal): T {
  if (signal) {
    const cancel = () => call.cancel();
    if (signal.aborted) cancel();
    signal.addEventListener('abort', cancel);
    call.once('status', () => signal.removeEventListener('abort', cancel));
  }
  return call;
}

/** Wraps a generated client. */
export function promised<C extends Client>(client: C): Promised<C> {
  return new Proxy(client, {
    get: (target, name) => (request: unknown, limits: Limits = {}) =>
      new Promise((resolve, reject) => {
        const finish = (error: ServiceError | null, response: unknown) => (error ? reject(error) : resolve(response));
        obey((target as any)[name](request, callOptions(limits), finish), limits.signal);
      }),
  }) as unknown as Promised<C>;
}
