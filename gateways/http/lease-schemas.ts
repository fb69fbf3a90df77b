import { Type } from 'typebox';
import { LIMITS } from '../../protocol/limits.ts';
import { CLOSED, leaseId, loweredLimit } from './schemas.ts';

/** The schemas of leases and locks in the public API. */
const revision = Type.Integer({ minimum: 0 });

export const GrantBody = Type.Object(
  { ttlSeconds: Type.Integer({ minimum: 1, maximum: LIMITS.leaseTtlSecondsMax }) },
  CLOSED,
);

const leaseFields = {
  id: leaseId,
  ttl: Type.Integer({ description: 'Seconds that each renewal gives it.' }),
  remainingMs: Type.Integer({ description: "By the leader's clock; a new leader begins anew." }),
  revision: Type.Integer({ description: 'Of the grant.' }),
};
export const Lease = Type.Object({
  ...leaseFields,
  keys: Type.Optional(Type.Array(Type.Unsafe<Record<string, unknown>>({ type: 'object' }))),
  more: Type.Optional(Type.Boolean({ description: 'Further keys are attached.' })),
});

export const Leases = Type.Object({
  leases: Type.Array(Type.Object(leaseFields)),
  cursor: Type.Optional(Type.String({ description: 'Where the next page begins.' })),
  limit: loweredLimit,
});

export const LeaseParams = Type.Object({ id: Type.String({ description: 'The id of a lease.' }) });
export const LeaseQuery = Type.Object(
  { keys: Type.Optional(Type.Boolean({ description: 'Whether attached keys are listed.' })) },
  CLOSED,
);
export const LeasesQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1 })),
    cursor: Type.Optional(Type.String({ maxLength: 16 })),
  },
  CLOSED,
);

export const LocksQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1 })),
    cursor: Type.Optional(Type.String({ maxLength: 8192 })),
  },
  CLOSED,
);

export const Revoked = Type.Object({
  revoked: Type.Boolean(),
  revision,
  removed: Type.Integer({ description: 'Keys that went with it before this answer.' }),
  complete: Type.Boolean({ description: 'False: the removal goes on behind this answer.' }),
});

export const LockParams = Type.Object({
  name: Type.String({ description: 'Percent-encoded bytes; slashes belong to the name.' }),
});
export const AcquireBody = Type.Object(
  {
    lease: leaseId,
    value: Type.Optional(Type.String({ description: 'What the holder says of itself.' })),
    base64: Type.Optional(Type.String()),
    waitMs: Type.Optional(
      Type.Integer({ minimum: 0, maximum: LIMITS.requestDeadlineMsMax, description: 'Default 0.' }),
    ),
  },
  CLOSED,
);

export const Lock = Type.Object({
  name: Type.Optional(Type.String()),
  held: Type.Boolean(),
  key: Type.Optional(Type.String({ description: 'The key that stands for the lock.' })),
  token: Type.Integer({ description: 'The revision it was acquired at; 0: it is free.' }),
  lease: Type.Optional(leaseId),
  value: Type.Optional(Type.String()),
  base64: Type.Optional(Type.String()),
});

export const Locks = Type.Object({
  locks: Type.Array(Lock),
  cursor: Type.Optional(Type.String({ description: 'Where the next page begins; opaque.' })),
  limit: loweredLimit,
});

export const ReleaseQuery = Type.Object(
  { token: Type.Optional(Type.Integer({ minimum: 1, description: 'The token of the holder.' })) },
  CLOSED,
);
export const Released = Type.Object({ released: Type.Boolean(), revision });
