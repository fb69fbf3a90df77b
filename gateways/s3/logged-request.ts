import type { Bucket } from '../../protocol/object-access.ts';
import type { EdgeRequest } from '../http/exchange.ts';
import { accessLogLine, type LoggedRequest } from './access-log-line.ts';
import type { Answer } from './answer.ts';
import type { Call } from './call.ts';
import { bucketLoggingStatus } from './logging.ts';
import { SUB_RESOURCES } from './operations.ts';

export interface AnswerTimes {
  readonly requestId: string;
  /** Monotonic. */
  readonly startedMs: number;
  readonly turnAroundMs: number;
}

interface Asked extends AnswerTimes {
  readonly operation: LoggedRequest['operation'];
  readonly errorCode: string | null;
  readonly req: EdgeRequest;
}

/** Records a request that is answered, where its bucket keeps an access log. Never rejects. */
export async function logAccess(call: Call, answer: Answer, asked: Asked): Promise<void> {
  // Who asked for no bucket was refused before anything was looked at.
  const bucket = await call.askedBucket?.catch(() => null);
  const stored = bucket?.documents['logging'];
  if (stored === undefined) return;
  const { loggingEnabled } = bucketLoggingStatus.read(Buffer.from(stored));
  if (loggingEnabled === null) return;
  const { owner } = bucket as Bucket;
  const line = accessLogLine({ owner, ...loggedRequest(call, answer, asked) });
  const source = { tenant: call.tenant, bucket: call.route.bucket, owner };
  call.edge.accessLog.record(source, loggingEnabled, line);
}

function loggedRequest(call: Call, answer: Answer, asked: Asked): Omit<LoggedRequest, 'owner'> {
  const { sender, route, edge, nowMs } = call;
  const { operation, errorCode, req, requestId, startedMs, turnAroundMs } = asked;
  const method = req.method ?? '';
  const level = route.key === '' ? 'bucket' : 'object';
  const subResource = [...route.query.keys()].find((name) => SUB_RESOURCES[level].has(name));
  return {
    ...{ bucket: route.bucket, key: route.key, atMs: nowMs },
    ...{ address: sender.address, requester: call.who?.id ?? null, signedBy: sender.signedBy },
    ...{ requestId, operation, method, subResource: subResource ?? null, url: req.url ?? '' },
    ...{ status: answer.status, errorCode, turnAroundMs },
    sentBytes: method === 'HEAD' ? 0 : sentBytes(answer),
    objectBytes: objectBytes(call, answer),
    totalMs: edge.http.clock.monotonicMs() - startedMs,
    ...{ referer: call.header('referer'), userAgent: call.header('user-agent') },
    ...{ versionId: route.versionId, host: call.header('host') },
  };
}

function sentBytes({ body, bytes }: Answer): number | null {
  if (bytes !== undefined) return bytes;
  if (body === null) return 0;
  if (typeof body === 'string') return Buffer.byteLength(body);
  return body instanceof Uint8Array ? body.length : null;
}

/** Of what was read or written, where the answer or the request says it. */
function objectBytes(call: Call, { status, headers, bytes }: Answer): number | null {
  switch (call.route.operation) {
    case 'PutObject':
    case 'UploadPart':
      return status === 200 ? call.body.declaredBytes : null;
    case 'GetObject':
    case 'HeadObject': {
      const range = headers.find(([name]) => name === 'content-range')?.[1];
      const total = range?.split('/')[1];
      return total === undefined ? (bytes ?? null) : Number(total);
    }
    default:
      return null;
  }
}
