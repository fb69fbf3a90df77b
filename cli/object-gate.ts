import { AppError } from '../protocol/errors.ts';
import type { ObjectService } from '../protocol/object-access.ts';

/** Objects before their node is there: everything is refused, definitely, until it opens, and once it is closed. */
export interface ObjectGate {
  readonly objects: ObjectService;
  open(objects: ObjectService): void;
  /** For good: with `why`. */
  close(why: AppError): void;
}

export function objectGate(): ObjectGate {
  let behind: ObjectService | null = null;
  let refusal = new AppError('unavailable', 'the node is still starting');
  const real = (): ObjectService => {
    if (behind === null) throw refusal;
    return behind;
  };
  const objects: ObjectService = {
    buckets: {
      list: async (ctx, tenant, options) => real().buckets.list(ctx, tenant, options),
      get: async (ctx, tenant, name) => real().buckets.get(ctx, tenant, name),
      create: async (ctx, wanted) => real().buckets.create(ctx, wanted),
      change: async (ctx, tenant, name, change) => real().buckets.change(ctx, tenant, name, change),
      delete: async (ctx, tenant, name) => real().buckets.delete(ctx, tenant, name),
    },
    data: {
      write: async (ctx, ref, source, id) => real().data.write(ctx, ref, source, id),
      replicate: async (ctx, ref, data, voters) => real().data.replicate(ctx, ref, data, voters),
      discard: (data) => real().data.discard(data),
      read: (ctx, ref, piece, range) => real().data.read(ctx, ref, piece, range),
    },
    keyRows: {
      get: async (ctx, id) => real().keyRows.get(ctx, id),
      list: async (ctx) => real().keyRows.list(ctx),
      put: async (ctx, row) => real().keyRows.put(ctx, row),
    },
    apply: async (ctx, bucket, op) => real().apply(ctx, bucket, op),
    read: async (ctx, ref, options) => real().read(ctx, ref, options),
    list: async (ctx, query) => real().list(ctx, query),
    listVersions: async (ctx, query) => real().listVersions(ctx, query),
    listUploads: async (ctx, bucket, query) => real().listUploads(ctx, bucket, query),
    listParts: async (ctx, bucket, ref, upload, options) =>
      real().listParts(ctx, bucket, ref, upload, options),
  };
  return {
    objects,
    open: (opened) => {
      behind = opened;
    },
    close: (why) => {
      behind = null;
      refusal = why;
    },
  };
}
