import type { Message } from '../../protocol/envelope.ts';
import type { ReplyBody, RequestBody } from '../../protocol/messages/request.ts';
import type { TxnResult } from '../../protocol/messages/txn.ts';
import { bytesOfObjectReply, bytesOfOp, type ObjectReply } from '../../protocol/object-bytes.ts';
import { txnBytes } from '../../protocol/txn.ts';

/** About how many bytes a message takes when encoded: bodies exactly, the rest by a constant. */
export function messageBytes(message: Message): number {
  switch (message.type) {
    case 'AppendEntries': {
      let bytes = 96;
      for (const entry of message.entries) bytes += entry.bytes.length + 4;
      return bytes;
    }
    case 'InstallSnapshot':
      return message.data.length + 1024;
    case 'Request':
      return requestBytes(message.body) + 128;
    case 'Reply':
      return replyBytes(message.body) + 64;
    case 'Hello':
    case 'Form':
      return 2048;
    default:
      return 96;
  }
}

export function requestBytes(body: RequestBody): number {
  if (body.type === 'Write') {
    let bytes = 64;
    for (const op of body.ops) {
      bytes += op.ref.key.length + 96 + (op.type === 'put' ? op.value.length : 0);
    }
    return bytes;
  }
  if (body.type === 'Read') {
    let bytes = 32;
    for (const key of body.keys) bytes += key.key.length + 32;
    return bytes;
  }
  if (body.type === 'IndexSet') return 256 + body.indexes.length * 2048;
  if (body.type === 'Txn') return txnBytes(body.body) + 128;
  if (body.type === 'TxnPrepare') return txnBytes(body.part.body) + 256;
  if (body.type === 'TxnResolve') return body.ends.length * 48 + 64;
  if (body.type === 'MetaPut') return body.json.length + 256;
  if (body.type === 'LeaseSweep') return body.leases.length * 16 + 64;
  if (body.type === 'ObjectWrite') return bytesOfOp(body.op) + 128;
  if (body.type === 'MetaCheck') return body.rows.length * 160 + 64;
  return 256;
}

const OF_OBJECTS: ReadonlySet<ReplyBody['type']> = new Set([
  ...(['ObjectFound', 'ObjectPage', 'UploadPage', 'PartPage'] as const),
  ...(['MetaChecked', 'MetaListed'] as const),
]);

function replyBytes(body: ReplyBody): number {
  let bytes = 64;
  if (body.type === 'Written') return bytes + body.results.length * 32;
  if (body.type === 'Items' || body.type === 'Page') {
    for (const item of body.items) {
      bytes += item === null ? 1 : item.value.length + item.ref.key.length + 128;
    }
  } else if (body.type === 'IndexPage') {
    for (const { encoded, item } of body.hits) {
      bytes += encoded.length + item.value.length + item.ref.key.length + 160;
    }
  } else if (body.type === 'Feed') {
    for (const { ref, item, prev } of body.events) {
      bytes += ref.key.length * 3 + 384 + (item?.value.length ?? 0) + (prev?.value.length ?? 0);
    }
  } else if (body.type === 'MetaRows') {
    for (const row of body.rows) bytes += row.json.length + 300;
  } else if (body.type === 'Leases') bytes += body.leases.length * 48;
  else if (body.type === 'AttachedKeys') {
    for (const { key } of body.keys) bytes += key.length + 160;
  } else if (body.type === 'Status') bytes += 4096;
  else if (body.type === 'TxnDone') bytes += resultBytes(body.outcome.results);
  else if (body.type === 'TxnVoted' && body.vote.type === 'yes') {
    bytes += resultBytes(body.vote.then) + resultBytes(body.vote.otherwise);
  } else if (OF_OBJECTS.has(body.type)) bytes += bytesOfObjectReply(body as ObjectReply);
  return bytes;
}

function resultBytes(results: readonly TxnResult[]): number {
  let bytes = 64;
  for (const result of results) {
    bytes += 32;
    const items =
      result.type === 'page' ? result.items : result.type === 'got' ? [result.item] : [];
    for (const item of items) {
      bytes += item === null ? 1 : item.value.length + item.ref.key.length + 160;
    }
  }
  return bytes;
}
