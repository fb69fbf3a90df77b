import { createHash } from 'node:crypto';
import { encodeWith, unpackBytes } from '../../protocol/codec.ts';
import * as s from '../../protocol/schema.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { WRAPPED_BYTES } from './key-wrap.ts';

/**
 * What a record keeps of how its object is encrypted (`head.encryption`): the object's data key, wrapped, and under
 * what. Apply does not look into it; a further form gets a further number.
 */
export const envelopeCodec = s.union({
  /** SSE-C: under a key that the client has. */
  customer: [1, s.record({ wrapped: s.bin(WRAPPED_BYTES) })],
  /** SSE-S3 (`AES256`) and SSE-KMS: under a version of a named key. */
  named: [
    2,
    s.record({
      algorithm: s.oneOf('AES256', 'aws:kms'),
      keyId: s.str(128),
      keyVersion: s.count,
      /** SHA-256 of the client's encryption context; null: none was given. */
      contextHash: s.nullable(s.bin(32)),
      bucketKey: s.bool,
      wrapped: s.bin(WRAPPED_BYTES),
    }),
  ],
});
export type Envelope = s.Of<typeof envelopeCodec>;
export type NamedEnvelope = Extract<Envelope, { type: 'named' }>;

export function encodeEnvelope(envelope: Envelope): Uint8Array {
  return encodeWith(envelopeCodec, envelope);
}

/** Throws DecodeError. */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  return envelopeCodec.unpack(unpackBytes(bytes, { bytesMax: 1024, itemsMax: 16, depthMax: 3 }));
}

/** What a data key is bound to: under another key's name, or for another object, it does not unwrap. */
export function bindingOf(
  { tenant, space, key }: KeyRef,
  under: Pick<NamedEnvelope, 'algorithm' | 'keyId' | 'keyVersion' | 'contextHash'> | null,
): Buffer {
  const hash = createHash('sha256');
  const add = (part: string | Uint8Array): void => {
    const bytes = typeof part === 'string' ? Buffer.from(part) : part;
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  };
  add('minikv 1 object');
  add(tenant);
  add(space);
  add(Buffer.from(key, 'latin1'));
  add(under === null ? 'SSE-C' : under.algorithm);
  add(under?.keyId ?? '');
  add(String(under?.keyVersion ?? 0));
  add(under?.contextHash ?? '');
  return hash.digest();
}
