import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { compose } from '../../cli/compose.ts';
import { loadConfig } from '../../cli/config.ts';
import { uniqueTests } from '../kit/http-index-suite.ts';
import { type HttpTarget, httpSuite } from '../kit/http-suite.ts';
import { call } from '../kit/raw-http.ts';

/** A whole node of this process: real storage, the in-process bus, a free port. */
async function startNode(): Promise<HttpTarget> {
  const folder = await mkdtemp(join(tmpdir(), 'minikv-http-'));
  const { config } = loadConfig({
    flags: { data: folder, port: '0', 'log-level': 'silent' },
    env: {},
    readFile: () => '',
  });
  const node = await compose(config);
  await node.ready;
  return {
    url: node.httpUrl,
    stop: async () => {
      await node.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

describe('a durable node', () => httpSuite(() => startNode()));

describe('unique indexes of a durable node', () => {
  let target: HttpTarget;
  beforeAll(async () => {
    target = await startNode();
  });
  afterAll(() => target.stop());
  uniqueTests((method, path, options) => call(target.url, method, path, options ?? {}));
});
