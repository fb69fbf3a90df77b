import type { ObjectService } from '../../protocol/object-access.ts';
import type { Edge } from '../http/app.ts';
import type { S3Directory } from '../identity/s3-directory.ts';
import type { S3Identity } from '../identity/s3-user.ts';
import type { AccessLog } from './access-log.ts';
import type { Endpoint } from './address.ts';
import type { HashThread } from './hash-thread.ts';
import type { Credentials, SigV4 } from './sigv4.ts';
import type { StoredPolicies } from './stored-policy.ts';

/** How the S3 endpoint is set up. */
export interface S3Config {
  /** Its own port, at the root; 0 takes a free one, null: only under /s3 of the HTTP port. */
  readonly port: number | null;
  /** Where that port is taken, any free one will do. */
  readonly portMoves: boolean;
  readonly region: string;
  /** `bucket.<domain>` is that bucket. */
  readonly baseDomains: readonly string[];
  /** How long a day of lifecycle rules is. */
  readonly lifecycleDayMs: number;
  /** Whether requests without credentials may do everything (loopback, or --insecure). */
  readonly allowUnsigned: boolean;
  /** Whether clients on other machines may send keys (SSE-C), although there is no TLS here. */
  readonly customerKeysOverHttp: boolean;
}

export interface S3Options {
  readonly objects: ObjectService;
  readonly config: S3Config;
  /** Missing: there are none, and configurations that name one are refused. */
  readonly notifications?: NotificationTargets | null;
  /** The account's own access keys. Null: there is no such one. */
  readonly credentialsOf: (accessKeyId: string) => Promise<Credentials | null>;
  /** Missing: there are none but the account. */
  readonly users?: S3Directory;
}

/** An access key and whose it is. */
export interface KnownCredentials extends Credentials {
  readonly identity: S3Identity;
}

/** Where notifications can go; see gateways/notify. */
export interface NotificationTargets {
  /** Null: there is none of this ARN. */
  targetOf(arn: string): string | null;
  /** Resolves when the target has taken the document; rejects with an Error otherwise. */
  send(target: string, document: string, id: string): Promise<void>;
}

/** What every handler works with. */
export interface S3Edge {
  readonly http: Edge;
  readonly objects: ObjectService;
  readonly config: S3Config;
  readonly verifier: SigV4<KnownCredentials>;
  /** Null: there are none but the account. */
  readonly users: S3Directory | null;
  readonly policies: StoredPolicies;
  readonly accessLog: AccessLog;
  readonly notifications: NotificationTargets | null;
  /** For large bodies. */
  readonly hashing: HashThread;
}

/** Where requests come in: the root of a port of its own, or a path on the HTTP port. */
export interface Mount {
  readonly endpoint: Endpoint;
  /** A put into a bucket that is not there makes it, where nobody has to sign (API.md). */
  readonly makesBuckets: boolean;
}
