import { DecodeError } from './codec.ts';
import type { MessageReader } from './message-reader.ts';
import * as s from './schema.ts';

/**
 * Names of chunks: an object's data has an id of 16 bytes, the wall time at which it was drawn (Unix ms, 48
 * bits) and random ones (ADR 0034), and its chunks are numbered from 0. As text an id is 32 lower-case hex
 * digits, so ids sort by time.
 */
export type DataId = string & { readonly __brand: 'DataId' };

export interface ChunkName {
  readonly data: DataId;
  readonly number: number;
}

/** What a chunk is, without its bytes: length and CRC32C of all of them. */
export const chunkSumCodec = s.record({ bytes: s.count, crc: s.count });
export type ChunkSum = s.Of<typeof chunkSumCodec>;

export const DATA_ID_BYTES = 16;
export const CHUNK_NUMBER_MAX = 0xffff_ffff;
const DATA_ID = /^[0-9a-f]{32}$/;
const NAME = /^([0-9a-f]{32})-([0-9a-f]{8})$/;

/** `random`: 10 bytes. */
export function makeDataId(wallMs: number, random: Uint8Array): DataId {
  const bytes = Buffer.alloc(DATA_ID_BYTES);
  bytes.writeUIntBE(Math.max(0, Math.floor(wallMs)), 0, 6);
  bytes.set(random.subarray(0, DATA_ID_BYTES - 6), 6);
  return bytes.toString('hex') as DataId;
}

export function parseDataId(text: string): DataId | null {
  return DATA_ID.test(text) ? (text as DataId) : null;
}

/** Throws DecodeError when these are not 16 bytes. */
export function dataIdOf(bytes: Uint8Array): DataId {
  if (bytes.length !== DATA_ID_BYTES) throw new DecodeError('not a data id');
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex') as DataId;
}

export function dataIdBytes(id: DataId): Uint8Array {
  return Buffer.from(id, 'hex');
}

/** Unix ms at which an id was drawn. */
export function dataIdMs(id: DataId): number {
  return Number.parseInt(id.slice(0, 12), 16);
}

/** `<id>-<number>`, of fixed length: these texts sort as the names do. */
export function chunkText({ data, number }: ChunkName): string {
  return `${data}-${number.toString(16).padStart(8, '0')}`;
}

export function parseChunkText(text: string): ChunkName | null {
  const match = NAME.exec(text);
  if (match === null) return null;
  return { data: match[1] as DataId, number: Number.parseInt(match[2] as string, 16) };
}

export const dataIdCodec: s.Codec<DataId> = {
  pack: (value) => dataIdBytes(value),
  write: (out, value) => out.binary(dataIdBytes(value)),
  unpack: (raw) => dataIdOf(s.bin(DATA_ID_BYTES).unpack(raw)),
  read: (from) => dataIdOf(from.binary(DATA_ID_BYTES)),
  shape: 'dataId',
};

function chunkNumberOf(number: number): number {
  if (number > CHUNK_NUMBER_MAX) throw new DecodeError('not the number of a chunk');
  return number;
}

export const chunkNameCodec = s.record({
  data: dataIdCodec,
  number: {
    ...s.count,
    unpack: (raw: unknown) => chunkNumberOf(s.count.unpack(raw)),
    read: (from: MessageReader) => chunkNumberOf(from.count()),
  },
});
