import { type AuditTrail, isDenial } from '../../protocol/audit.ts';
import { AppError } from '../../protocol/errors.ts';
import type { KvService } from '../../protocol/service.ts';
import { apiSubject } from '../../protocol/subjects.ts';
import { metersOf, storeFor } from '../http/rate-limit.ts';
import type { Access } from '../identity/access.ts';
import type { Grant } from '../identity/grant.ts';
import { type StoreOf, storesOf } from '../identity/tenant-store.ts';
import type { Meters, RateLimits } from '../limits/rate-limits.ts';
import type { ClientRequest } from '../peer/request-server.ts';
import { type Admitted, OPERATIONS, type OperationName } from './operations.ts';

/** Who may ask what over NATS: whoever shows in a header what they would show over HTTP, and the same. */
export interface Admission {
  /** Rejects with the AppError that its sender is told. */
  admit(op: OperationName, request: ClientRequest): Promise<Admitted>;
  /** What became of a request, admitted or not. */
  answered(op: OperationName, request: ClientRequest, status: number, requestId: string): void;
}

export interface AdmissionParts {
  readonly service: KvService;
  /** Without it nobody is asked who they are. */
  readonly access?: Access;
  /** Whether requests without credentials are served, where there is no `access`. */
  readonly allowUnsigned: boolean;
  /** Without it nobody's rates are limited. */
  readonly limits?: RateLimits;
  /** Without it nothing is written down of who did what. */
  readonly audit?: AuditTrail;
}

/** What NATS tells of where a request is from: nothing. All that sends no credentials shares what one address has. */
const FROM = 'nats';

export function natsAdmission(parts: AdmissionParts): Admission {
  return new Admitting(parts);
}

class Admitting implements Admission {
  readonly #parts: AdmissionParts;
  readonly #storeOf: StoreOf;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
    this.#storeOf = storesOf(parts.service);
  }

  async admit(op: OperationName, request: ClientRequest): Promise<Admitted> {
    const { access, allowUnsigned } = this.#parts;
    if (access === undefined) {
      if (!allowUnsigned) throw new AppError('unauthenticated', 'credentials are needed here');
      return { store: this.#store(null), guard: null, meters: this.#count(null, request) };
    }
    const grant = await access.admit(credential(request), OPERATIONS[op].action);
    const meters = this.#count(grant, request);
    return { store: this.#store(grant), guard: grant.guard, meters };
  }

  answered(op: OperationName, request: ClientRequest, status: number, requestId: string): void {
    const { audit, access } = this.#parts;
    if (audit === undefined) return;
    const { action } = OPERATIONS[op];
    if (!isDenial(status) && (!audit.hasData || action === 'status:read')) return;
    const who = access?.whoNow(credential(request)) ?? 'nobody';
    audit.note({ who, from: FROM, action, resource: apiSubject(op), status, requestId });
  }

  #store(grant: Grant | null): KvService {
    return storeFor({ storeOf: this.#storeOf, limits: this.#parts.limits ?? null }, grant);
  }

  /** Throws `rate_limited`. */
  #count(grant: Grant | null, { payload }: ClientRequest): Meters | null {
    const meters = metersOf({ limits: this.#parts.limits ?? null }, grant, FROM);
    const refusal = meters?.admit(payload.length) ?? null;
    if (refusal !== null) throw refusal;
    return meters;
  }
}

function credential(request: ClientRequest): string | undefined {
  return request.header('Authorization') ?? undefined;
}
