import type { ObjectService } from '../../protocol/object-access.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import { CHUNKED, type StoredObject } from './chunk-client.ts';
import { SimViolation } from './violation.ts';
import type { World } from './world.ts';

const NAME = 'no acknowledged object is lost, one disk after another';
const LATEST = { versionId: null, revision: null };
/** Readers go elsewhere, and chunks may still be on their way to where they are looked for first. */
const ATTEMPTS = 20;

/** After the heal: the bytes of every object that was acknowledged, through all nodes in turn. */
export async function chunksReadable(world: World): Promise<void> {
  for (const [i, stored] of world.history.objects.stored.entries()) {
    const flaw = await flawOf(world, i, stored);
    if (flaw !== null) throw new SimViolation(NAME, `${stored.key}: ${flaw}`);
  }
}

async function flawOf(world: World, first: number, stored: StoredObject): Promise<string | null> {
  const ctx = { deadlineMs: 5_000, traceparent: null, idempotency: null };
  let flaw: string | null = null;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    try {
      const connection = await world.connect((first + attempt) % world.nodeCount);
      const read = await connection.call(6_000, (_, objects) => readOf(objects, ctx, stored.key));
      const { bytes, fill } = stored;
      if (read === null) return 'there is no such object';
      if (read.length !== bytes) return `${read.length} bytes of ${bytes}`;
      return read.every((byte) => byte === fill) ? null : 'other bytes';
    } catch (error) {
      flaw = error instanceof Error ? error.message : String(error);
      await world.sleep(200);
    }
  }
  return flaw;
}

async function readOf(
  objects: ObjectService,
  ctx: RequestContext,
  key: string,
): Promise<Buffer | null> {
  const ref = { tenant: DEFAULT_TENANT, space: CHUNKED, key };
  const read = await objects.read(ctx, ref, LATEST);
  if (read.type !== 'found') return null;
  const parts: Uint8Array[] = [];
  for (const piece of read.version.record.pieces) {
    const range = { start: 0, end: piece.bytes };
    for await (const part of objects.data.read(ctx, ref, piece, range)) parts.push(part);
  }
  return Buffer.concat(parts);
}
