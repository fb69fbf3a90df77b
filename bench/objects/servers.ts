import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../test/kit/nats-server.ts';
import { MAIN } from '../peers/minikv.ts';
import { ServerProcess } from '../system/server-process.ts';
import type { S3Target } from './signer.ts';

/** A server that speaks S3, with a bucket `bench`. */
export interface S3Server {
  readonly name: string;
  readonly target: S3Target;
  pids(): readonly number[];
  stop(): Promise<void>;
}

export interface MinikvS3 extends S3Server {
  /** Of the key API. */
  readonly url: string;
}

/** One node of the build, or of another one. */
export async function startMinikvS3(
  folder: string,
  { main = MAIN, name = 'minikv', nodeFlags = [], args = [] }: MinikvS3Options = {},
): Promise<MinikvS3> {
  const port = await freePort();
  const s3Port = await freePort();
  const server = new ServerProcess(process.execPath, [
    ...[...nodeFlags, main, 'serve', '--data', folder, ...args],
    ...['--port', String(port), '--s3-port', String(s3Port)],
  ]);
  const url = `http://127.0.0.1:${port}`;
  await server.until(async () => (await fetch(`${url}/health/ready`)).ok, 120_000);
  const keys = JSON.parse(readFileSync(join(folder, 's3-keys.json'), 'utf8'));
  return {
    name,
    url,
    target: {
      ...{ host: '127.0.0.1', port: s3Port, region: 'us-east-1' },
      ...{ accessKey: keys.accessKeyId, secretKey: keys.secretAccessKey },
    },
    pids: () => [server.pid],
    stop: () => server.stop(),
  };
}

export interface MinikvS3Options {
  readonly main?: string;
  readonly name?: string;
  readonly nodeFlags?: readonly string[];
  readonly args?: readonly string[];
}
