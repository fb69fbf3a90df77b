import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkKeyNames, checkLibStorage, checkTerraformLock } from '../s3-clients/javascript.ts';
import { checkMinioJs } from '../s3-clients/minio-js.ts';
import { type Store, startCluster } from '../s3-clients/store.ts';

/** Of `npm run s3-clients`, the ones that are npm packages: unmodified, against three nodes. */
describe('S3 clients in JavaScript', () => {
  let store: Store;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'minikv-e2e-s3-clients-'));
    store = await startCluster();
    expect(store.endpoints).toHaveLength(3);
  }, 90_000);
  afterAll(async () => {
    await store?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  // Each throws what differs.
  test(
    'lib-storage: a stream of unknown length goes in parts, and is read at every node',
    () => expect(checkLibStorage(store)).resolves.toBeUndefined(),
    120_000,
  );
  test(
    'the AWS SDK: keys with `..`, `//`, `%`, `+`, blanks, quotes and 1,024 bytes are kept as they are',
    () => expect(checkKeyNames(store)).resolves.toBeUndefined(),
    120_000,
  );
  test(
    'a lock by If-None-Match, as Terraform takes it: of 20 racers one wins, 25 times',
    () => expect(checkTerraformLock(store)).resolves.toBeUndefined(),
    120_000,
  );
  test(
    'minio: objects, files, streams, forms, presigned URLs, names, settings and locks',
    () => expect(checkMinioJs(store, folder)).resolves.toBeUndefined(),
    120_000,
  );
});
