import { ERRORS, isErrorCode } from '../../protocol/errors.ts';
import { type Client, RequestFailed } from '../client.ts';
import { CommandFailed } from '../failures.ts';
import { type Io, sleep } from '../io.ts';
import type { ImportRecord } from './records.ts';

/** A record the store will not take, however often it is sent. */
export interface RefusedRecord {
  readonly number: number;
  readonly key: string;
  readonly code: string;
  readonly message: string;
}

interface OpResult {
  readonly code?: string;
  readonly definite?: boolean;
  readonly message?: string;
}

const ROUNDS_MAX = 20;

/**
 * Sends one batch until every record is either in or refused for good. The idempotency key names the
 * batch: sent again after an unknown outcome, with the same bytes, it is applied once. A batch that is
 * refused as a whole is halved until the record that spoils it stands alone.
 */
export async function sendBatch(
  io: Io,
  client: Client,
  batch: readonly ImportRecord[],
  idempotencyKey: string,
): Promise<RefusedRecord[]> {
  const body = JSON.stringify({ ops: batch.map((record) => record.op) });
  for (let round = 0; ; round++) {
    let results: OpResult[];
    try {
      results = await post(client, body, idempotencyKey);
    } catch (error) {
      if (!spoiled(error)) throw error;
      return batch.length === 1
        ? [refusal(batch[0]!, { code: error.code, message: error.message })]
        : sendHalves(io, client, batch, idempotencyKey);
    }
    if (results.length !== batch.length) {
      throw new CommandFailed(
        `${client.endpoint} answered ${results.length} of ${batch.length} results`,
      );
    }
    const open = results.find((result) => result.code !== undefined && mayStillWork(result));
    if (open === undefined) {
      return batch.flatMap((record, i) => {
        const result = results[i]!;
        return result.code === undefined ? [] : [refusal(record, result)];
      });
    }
    if (round >= ROUNDS_MAX || io.signal.aborted) {
      throw new CommandFailed(`a batch did not go through: ${open.message ?? ''} [${open.code}]`, {
        ...open,
      });
    }
    await sleep(io, Math.min(2_000, 50 * 2 ** round));
  }
}

async function post(client: Client, body: string, idempotencyKey: string): Promise<OpResult[]> {
  const answer = await client.json<{ results?: OpResult[] }>({
    method: 'POST',
    path: '/v1/batch',
    headers: { 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
    body,
    repeatable: true,
  });
  return answer.results ?? [];
}

async function sendHalves(
  io: Io,
  client: Client,
  batch: readonly ImportRecord[],
  idempotencyKey: string,
): Promise<RefusedRecord[]> {
  const middle = batch.length >> 1;
  const left = await sendBatch(io, client, batch.slice(0, middle), `${idempotencyKey}l`);
  const right = await sendBatch(io, client, batch.slice(middle), `${idempotencyKey}r`);
  return [...left, ...right];
}

/** Refused because of what is in it, not because of when it came. */
function spoiled(error: unknown): error is RequestFailed {
  return (
    error instanceof RequestFailed &&
    (error.status === 400 || error.status === 413) &&
    error.definite
  );
}

function mayStillWork(result: OpResult): boolean {
  if (result.definite === false) return true;
  return (
    isErrorCode(result.code ?? '') && ERRORS[result.code as keyof typeof ERRORS].retry !== 'no'
  );
}

function refusal(record: ImportRecord, result: OpResult): RefusedRecord {
  const key = record.op.key ?? `base64:${record.op.keyBase64 ?? ''}`;
  return { number: record.number, key, code: result.code ?? '', message: result.message ?? '' };
}
