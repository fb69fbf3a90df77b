/** What somebody did, or wanted to, as it is written down. */
export interface AuditEvent {
  /** `admin`, `key:<id>`, `issuer:<subject>`, `s3:<user>`, or `nobody`: no credentials, or none that count. */
  readonly who: string;
  /** Address of the peer; '' where it is gone. */
  readonly from: string;
  /** Action of a route (`admin:write`), or operation of S3 (`s3:PutBucketPolicy`). */
  readonly action: string;
  /** Method and path without its query, or bucket and key. */
  readonly resource: string;
  /** Of the answer; 0: whoever sent it was gone before there was one. */
  readonly status: number;
  readonly requestId: string;
}

export interface AuditRecord extends AuditEvent {
  /** From 1, without gaps, on each node. */
  readonly seq: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly node: string;
}

export interface AuditFilter {
  /** Unix ms; null: no bound. */
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
  readonly who: string | null;
  /** Those that begin so. */
  readonly action: string | null;
  /** Answered with 401 or 403 only. */
  readonly denied: boolean;
}

/** The audit trail of one node. */
export interface AuditTrail {
  /** Also what is neither administrative nor denied is written down. */
  readonly hasData: boolean;
  /** Never throws; it is on disk within moments. */
  note(event: AuditEvent): void;
  /** Oldest first, up to the last one that was noted before. */
  read(filter: AuditFilter): AsyncIterable<AuditRecord>;
}

/** Whether an answer says that somebody might not. */
export function isDenial(status: number): boolean {
  return status === 401 || status === 403;
}
