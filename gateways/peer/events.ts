import { createHash } from 'node:crypto';
import type { Bus } from '../../actors/kit/ports.ts';
import { fromLatin1 } from '../../protocol/bytes.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ChangeEvent } from '../../protocol/messages/request.ts';
import { objectChange } from '../../protocol/object-change.ts';
import { isBucketName } from '../../protocol/objects.ts';
import { eventSubject } from '../../protocol/subjects.ts';
import type { GroupId } from '../../protocol/types.ts';

/**
 * Public events: one message per change on `minikv.events.<tenant>.<space>.<key tokens>`. The payload is the
 * new value (of an object: its size, ETag and kin as JSON), empty for `delete` and `expire`. At most once: the
 * sequence shows a gap.
 */

/** What one event's message is made of. */
export interface EventMessage {
  readonly subject: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Uint8Array;
}

const NOTHING = new Uint8Array(0);
/** Room for the headers beside the value; keys and content types have their own limits. */
const HEADERS_BYTES_MAX = 2 * LIMITS.keyBytesMax + LIMITS.contentTypeBytesMax + 1024;
/** Texts that a header carries unchanged. */
const PLAIN = /^[\x20-\x7e]*$/;

/** Names a key whose subject would be too long: SHA-256, cut to 128 bits, as 32 hex digits. */
export function longKeyHash(key: string): string {
  return createHash('sha256').update(fromLatin1(key)).digest('hex').slice(0, 32);
}

/** The message of one change, never above `payloadBytesMax` bytes. */
export function eventMessage(
  event: ChangeEvent,
  group: GroupId,
  traceparent: string | null,
  payloadBytesMax: number,
): EventMessage {
  const headers: Record<string, string> = {
    'Minikv-Type': event.kind,
    'Minikv-Revision': String(event.revision),
    'Minikv-Prev-Revision': String(event.prevRevision),
    'Minikv-Group': String(group),
    'Minikv-Sequence': String(event.sequence),
  };
  const hashes: string[] = [];
  const subject = eventSubject(event.ref, (key) => {
    const hash = longKeyHash(key);
    hashes.push(hash);
    return hash;
  });
  if (hashes.length > 0 || !PLAIN.test(event.ref.key)) {
    headers['Minikv-Key'] = Buffer.from(event.ref.key, 'latin1').toString('base64');
  }
  const isObject = isBucketName(event.ref.space);
  const contentType = isObject ? 'application/json' : (event.item?.contentType ?? null);
  if (contentType !== null && PLAIN.test(contentType)) headers['Minikv-Content-Type'] = contentType;
  if (traceparent !== null && PLAIN.test(traceparent)) headers['traceparent'] = traceparent;
  const item = event.kind === 'put' ? event.item : null;
  const value = item === null ? NOTHING : isObject ? objectPayload(item.value) : item.value;
  if (value.length + HEADERS_BYTES_MAX <= payloadBytesMax) {
    return { subject, headers, payload: value };
  }
  headers['Minikv-Truncated'] = 'true';
  return { subject, headers, payload: NOTHING };
}

function objectPayload(value: Uint8Array): Uint8Array {
  return Buffer.from(JSON.stringify(objectChange(value)));
}

/** Publishes one change; fire and forget. Called by the leader of `group` as events close. */
export function publishChange(
  bus: Bus,
  event: ChangeEvent,
  group: GroupId,
  traceparent: string | null,
): void {
  if (!bus.publishesEvents()) return;
  const message = eventMessage(event, group, traceparent, bus.payloadBytesMax);
  bus.publishEvent(message.subject, message.headers, message.payload);
}
