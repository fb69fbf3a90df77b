import {
  bucketRowCodec,
  dataRowCodec,
  decodeRow,
  encodeRow,
  partRowCodec,
  uploadRowCodec,
} from '../../../actors/apply/object-codec.ts';
import { decodeOutcome, encodeOutcome } from '../../../actors/apply/txn-outcome.ts';
import { decodeDecision, encodeDecision } from '../../../actors/apply/txn-table.ts';
import { decodeEvent, encodeEvent, RAFT_WAL_SHAPE } from '../../../actors/raft/wal-codec.ts';
import {
  decodeEnvelope as decodeObjectEnvelope,
  encodeEnvelope as encodeObjectEnvelope,
  envelopeCodec,
} from '../../../gateways/encryption/envelope.ts';
import { DecodeError, packBytes, unpackBytes } from '../../../protocol/codec.ts';
import { commandCodec, decodeCommand, encodeCommand } from '../../../protocol/commands.ts';
import { makeEntry, packEntries, parseEntry, unpackEntries } from '../../../protocol/entry.ts';
import { decodeEnvelope, encodeEnvelope, WIRE_SHAPE } from '../../../protocol/envelope.ts';
import { configCodec, decodeConfig, encodeConfig } from '../../../protocol/membership.ts';
import { txnOutcomeCodec } from '../../../protocol/messages/txn.ts';
import { decodeRecord, encodeRecord, objectRecordCodec } from '../../../protocol/objects.ts';
import type { Codec } from '../../../protocol/schema.ts';
import { decisionCodec } from '../../../protocol/txn.ts';
import { PROTOCOL_VERSION } from '../../../protocol/version.ts';
import { type CustomShapes, drawOfShape } from '../shape-values.ts';
import { checkAgain, type DecoderTarget, type Pick } from '../target.ts';

/** What nodes send each other, and what the log and the rows of the engine have in MessagePack. */

function entryOf(pick: Pick, index: number, term: number) {
  const kind = pick.one(['noop', 'command', 'config'] as const);
  const payload =
    kind === 'noop'
      ? new Uint8Array(0)
      : kind === 'config'
        ? encodeConfig({ voters: ['n1:1' as never], votersOld: null, learners: [] })
        : packBytes(drawCommand(pick));
  return makeEntry({ index, term, kind, clockBound: pick.below(1000) }, payload);
}

function entriesOf(pick: Pick) {
  const first = 1 + pick.below(100);
  return Array.from({ length: 1 + pick.below(3) }, (_, i) => entryOf(pick, first + i, 3));
}

const CUSTOM: CustomShapes = {
  dataId: (pick) => pick.bytes(16),
  entries1: (pick) => packEntries(entriesOf(pick)),
};
const drawCommand = drawOfShape(commandCodec.shape, CUSTOM);
const drawEnvelope = drawOfShape(WIRE_SHAPE, CUSTOM);
const isDecodeError = (error: unknown): boolean => error instanceof DecodeError;

/** A codec, and the functions that use it. */
function target<T>(
  name: string,
  shape: string,
  decode: (bytes: Uint8Array) => T,
  encode: (value: T) => Uint8Array,
): DecoderTarget {
  const draw = drawOfShape(shape, CUSTOM);
  return {
    name,
    seeds: [],
    draw: (pick) => packBytes(draw(pick)),
    take: (bytes) => checkAgain(decode(bytes), encode, decode),
    isRefusal: isDecodeError,
  };
}

function rowTarget<T>(name: string, codec: Codec<T>): DecoderTarget {
  const decode = (bytes: Uint8Array): T => decodeRow(codec, bytes);
  return target(name, codec.shape, decode, (row) => encodeRow(codec, row));
}

const BOUNDS = { bytesMax: 1 << 16, itemsMax: 4096, depthMax: 16 };

export const CODEC_TARGETS: readonly DecoderTarget[] = [
  {
    ...target('peer envelope', WIRE_SHAPE, decodeEnvelope, encodeEnvelope),
    draw: (pick) => packBytes([PROTOCOL_VERSION, drawEnvelope(pick)]),
  },
  target('command', commandCodec.shape, decodeCommand, encodeCommand),
  target('group configuration', configCodec.shape, decodeConfig, encodeConfig),
  target('object record', objectRecordCodec.shape, decodeRecord, encodeRecord),
  target('transaction decision', decisionCodec.shape, decodeDecision, encodeDecision),
  target('transaction outcome', txnOutcomeCodec.shape, decodeOutcome, encodeOutcome),
  target('object envelope', envelopeCodec.shape, decodeObjectEnvelope, encodeObjectEnvelope),
  rowTarget('bucket row', bucketRowCodec),
  rowTarget('upload row', uploadRowCodec),
  rowTarget('part row', partRowCodec),
  rowTarget('data row', dataRowCodec),
  {
    name: 'msgpack',
    seeds: [packBytes({ a: [1, -1, 0.5, null, true, 'text', new Uint8Array(3)], b: { c: {} } })],
    take: (bytes) => {
      const decode = (from: Uint8Array) => unpackBytes(from, BOUNDS);
      checkAgain(decode(bytes), packBytes, decode);
    },
    isRefusal: isDecodeError,
  },
  {
    name: 'log entry',
    seeds: [],
    draw: (pick) => entryOf(pick, 1 + pick.below(9), 1 + pick.below(9)).bytes,
    take: (bytes) => {
      const { index, term, kind, clockBound, bytes: whole } = parseEntry(bytes);
      checkAgain(
        { index, term, kind, clockBound, bytes: whole },
        (entry) => entry.bytes,
        parseEntry,
      );
    },
    isRefusal: isDecodeError,
  },
  {
    name: 'log entries',
    seeds: [],
    draw: (pick) => packEntries(entriesOf(pick)),
    take: (bytes) => checkAgain(unpackEntries(bytes), packEntries, unpackEntries),
    isRefusal: isDecodeError,
  },
  {
    name: 'Raft event',
    seeds: [],
    draw: drawEvent,
    take: (bytes) => checkAgain(decodeEvent(bytes), encodeEvent, decodeEvent),
    isRefusal: isDecodeError,
  },
];

const drawFields = drawOfShape(RAFT_WAL_SHAPE.slice(RAFT_WAL_SHAPE.indexOf('union(')), CUSTOM);

function drawEvent(pick: Pick): Uint8Array {
  if (pick.chance(0.5)) return Buffer.concat([Uint8Array.of(1, 2), packBytes(drawFields(pick))]);
  const entries = entriesOf(pick);
  return encodeEvent({
    ...{ type: 'EntriesAppended', prevLogIndex: (entries[0]?.index ?? 1) - 1, entries },
  });
}
