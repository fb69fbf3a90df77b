import type { ReplyOf } from './messages/request.ts';
import type { ListedPrefix, ListedUpload, ListedVersion } from './object-access.ts';
import type { Amendment, ObjectOp } from './object-ops.ts';
import type { ObjectHead } from './objects.ts';

/** About how many bytes things about objects take on the wire: never much less. */

const ENTRY_BYTES = 160;
const PIECE_BYTES = 112;

type Listed = Pick<ListedVersion, 'key' | 'headers' | 'owner'>;

export function bytesOfVersion({ key, headers, owner }: Listed): number {
  return ENTRY_BYTES + key.length + bytesOfPairs(headers) + (owner?.length ?? 0);
}

export function bytesOfPrefix({ prefix }: Pick<ListedPrefix, 'prefix'>): number {
  return ENTRY_BYTES + prefix.length;
}

type Uploaded = Pick<ListedUpload, 'key' | 'upload' | 'head'>;

export function bytesOfUpload({ key, upload, head }: Uploaded): number {
  return ENTRY_BYTES + key.length + upload.length + bytesOfHead(head);
}

function bytesOfHead({ contentType, headers, metadata, tags, acl, encryption }: ObjectHead) {
  const texts = (contentType?.length ?? 0) + (acl?.length ?? 0);
  const pairs = bytesOfPairs(headers) + bytesOfPairs(metadata) + bytesOfPairs(tags);
  return 192 + texts * 3 + pairs + (encryption?.length ?? 0);
}

/** A character may take three bytes. */
function bytesOfPairs(pairs: ObjectHead['headers']): number {
  let bytes = 0;
  for (const { name, value } of pairs) bytes += (name.length + value.length) * 3 + 8;
  return bytes;
}

export function bytesOfOp(op: ObjectOp): number {
  const bytes = 512 + op.ref.key.length;
  switch (op.type) {
    case 'put':
      return bytes + bytesOfHead(op.head) + (op.data?.inline?.length ?? 0);
    case 'uploadPart':
      return bytes + (op.data?.inline?.length ?? 0);
    case 'uploadCreate':
      return bytes + bytesOfHead(op.head);
    case 'uploadComplete':
      return bytes + op.parts.length * 80;
    case 'amend':
      return bytes + bytesOfChange(op.change);
    default:
      return bytes;
  }
}

function bytesOfChange(change: Amendment): number {
  if (change.type === 'tags') return bytesOfPairs(change.tags);
  if (change.type === 'acl') return (change.acl?.length ?? 0) * 3;
  if (change.type !== 'metadata') return 64;
  const { contentType, headers, metadata } = change;
  return (contentType?.length ?? 0) * 3 + bytesOfPairs(headers) + bytesOfPairs(metadata);
}

export type ObjectReply = ReplyOf<
  'ObjectFound' | 'ObjectPage' | 'UploadPage' | 'PartPage' | 'MetaChecked' | 'MetaListed'
>;

export function bytesOfObjectReply(reply: ObjectReply): number {
  switch (reply.type) {
    case 'ObjectFound': {
      if (reply.version === null) return 64;
      const { record, inline } = reply.version;
      const pieces = record.pieces.length * PIECE_BYTES;
      return 512 + bytesOfHead(record.head) + pieces + (inline?.length ?? 0);
    }
    case 'ObjectPage':
      return reply.entries.reduce((sum, one) => {
        return sum + (one.type === 'prefix' ? bytesOfPrefix(one) : bytesOfVersion(one));
      }, 0);
    case 'UploadPage':
      return reply.entries.reduce((sum, one) => {
        return sum + (one.type === 'prefix' ? bytesOfPrefix(one) : bytesOfUpload(one));
      }, 0);
    case 'PartPage': {
      const head = reply.upload === null ? 0 : bytesOfHead(reply.upload.head);
      return head + reply.parts.length * (PIECE_BYTES + 192);
    }
    case 'MetaChecked':
      return reply.changed.reduce((sum, { json }) => sum + json.length * 3 + 300, 0);
    case 'MetaListed':
      return reply.rows.reduce((sum, { json }) => sum + json.length * 3 + 300, 0);
  }
}
