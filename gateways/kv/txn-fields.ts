import { AppError } from '../../protocol/errors.ts';
import type { Shape } from './shapes.ts';

/** Fields of the bodies of transactions. */

export function objectOf(raw: unknown, what: string): Shape {
  const isObject = typeof raw === 'object' && raw !== null;
  if (!isObject || Array.isArray(raw) || raw instanceof Uint8Array) {
    throw invalid(`${what} must be an object`);
  }
  return raw as Shape;
}

export function refuseOthers(shape: Shape, fields: readonly string[], what: string): void {
  for (const field of Object.keys(shape)) {
    if (!fields.includes(field)) {
      throw invalid(`${what} has no field ${JSON.stringify(field.slice(0, 64))}`);
    }
  }
}

export function invalid(message: string): AppError {
  return new AppError('invalid_argument', message);
}
