import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { REGION, type Store } from './store.ts';
import { makeTree } from './tree.ts';

/** A program that knows nothing of us. It gets a folder of its own and a store; what throws has failed. */
export interface ClientCheck {
  readonly name: string;
  /** What must be on the PATH, or where it is. */
  readonly program: string;
  /** Debian's package that has it; null: it is left out where it is not installed. */
  readonly package: string | null;
  /** What makes it say its version. */
  readonly version: readonly string[];
  check(store: Store, folder: string): Promise<void>;
}

export function awsEnv({ accessKey, secretKey }: Store): Record<string, string> {
  return {
    AWS_ACCESS_KEY_ID: accessKey,
    AWS_SECRET_ACCESS_KEY: secretKey,
    AWS_DEFAULT_REGION: REGION,
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}

export function endpoint(store: Store, i = 0): string {
  return store.endpoints[i % store.endpoints.length]!;
}

/** A tree, and an empty folder for it to come back to. */
export function twoTrees(folder: string): { from: string; back: string } {
  const [from, back] = [join(folder, 'from'), join(folder, 'back')];
  makeTree(from);
  mkdirSync(back);
  return { from, back };
}
