import { status, type ServiceError } from '@grpc/grpc-js';
import { fromJSON, type MessageTypeDefinition } from '@grpc/proto-loader';

/** What a failed call says. */
export interface ErrorDetails {
  /** The status as gRPC's specification writes it, such as INVALID_ARGUMENT. */
  status: keyof typeof status;
  message: string;
  /** The server's reason; empty where the failure is not the server's own. */
  reason: string;
  /** What is wrong with each field, by its path in the request. */
  fields: Record<string, string>;
  /** Milliseconds after which another try makes sense. */
  retryAfter?: number;
}

// google.rpc's Status and the details that LrtMesh sends.
const messages = fromJSON({
  nested: {
    Any: { fields: { typeUrl: { type: 'string', id: 1 }, value: { type: 'bytes', id: 2 } } },
    Status: { fields: { code: { type: 'int32', id: 1 }, message: { type: 'string', id: 2 }, details: { rule: 'repeated', type: 'Any', id: 3 } } },
    ErrorInfo: { fields: { reason: { type: 'string', id: 1 } } },
    FieldViolation: { fields: { field: { type: 'string', id: 1 }, description: { type: 'string', id: 2 } } },
    BadRequest: { fields: { fieldViolations: { rule: 'repeated', type: 'FieldViolation', id: 1 } } },
    Duration: { fields: { seconds: { type: 'int64', id: 1 }, nanos: { type: 'int32', id: 2 } } },
    RetryInfo: { fields: { retryDelay: { type: 'Duration', id: 1 } } },
  },
}, { defaults: true, longs: Number });

function read(type: string, bytes: Buffer): any {
  return (messages[type] as MessageTypeDefinition<object, object>).deserialize(bytes);
}

/** Whether an error is one of a call. */
export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && typeof (error as ServiceError).code === 'number' && 'metadata' in error;
}

/** Takes the error of a call apart. */
export function details(error: ServiceError): ErrorDetails {
  const found: ErrorDetails = { status: status[error.code] as keyof typeof status, message: error.details, reason: '', fields: {} };
  for (const bytes of error.metadata?.get('grpc-status-details-bin') ?? []) {
    for (const { typeUrl, value } of read('Status', bytes as Buffer).details) {
      const type = typeUrl.split('/').at(-1);
      if (type === 'google.rpc.ErrorInfo') found.reason = read('ErrorInfo', value).reason;
      if (type === 'google.rpc.BadRequest') {
        for (const violation of read('BadRequest', value).fieldViolations) found.fields[violation.field] = violation.description;
      }
      if (type === 'google.rpc.RetryInfo') {
        const { seconds, nanos } = read('RetryInfo', value).retryDelay;
        found.retryAfter = seconds * 1000 + nanos / 1e6;
      }
    }
  }
  return found;
}
