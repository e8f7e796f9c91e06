export { type Limits, type Promised } from './calls.js';
export { details, type ErrorDetails, isServiceError } from './errors.js';
export { type HiddenStates } from './hidden-states.js';
export { Mesh, type Profile, type Role } from './mesh.js';
export { Assembler, BrokenTensorError, crc32c, decode, encode, maxChunkBytes, maxTensorBytes } from './tensors.js';
