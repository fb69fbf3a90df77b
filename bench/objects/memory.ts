/**
 * Many large uploads side by side into one node: its resident memory, while they flow and at most.
 *
 *   node --import tsx bench/objects/memory.ts [--uploads 64] [--mib 1024] [--data data/bench]
 *
 * All flow at the same pace and none is completed: what they wrote is taken away when they break off one byte before
 * their end, so the disk needs room for all of them, and no more.
 */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { residentBytesOf, residentPeakBytesOf } from '../system/process-use.ts';
import { Exchange } from './exchange.ts';
import { startMinikvS3 } from './servers.ts';
import { Signer, UNSIGNED } from './signer.ts';

const { values: args } = parseArgs({
  options: {
    uploads: { type: 'string', default: '64' },
    mib: { type: 'string', default: '1024' },
    data: { type: 'string', default: 'data/bench' },
    seconds: { type: 'string', default: '3600' },
  },
});
const MIB = 1024 * 1024;
const uploads = Number(args.uploads);
const bytes = Number(args.mib) * MIB;
const PIECE = Buffer.alloc(256 * 1024, 'minikv');
const LOOK_MS = 250;

mkdirSync(args.data, { recursive: true });
const { bavail, bsize } = statfsSync(args.data);
if (bavail * bsize < uploads * bytes * 1.05) console.log('not enough room: the disk will be full');
const data = mkdtempSync(join(resolve(args.data), 'memory-'));
const server = await startMinikvS3(join(data, 'node'));
const endMs = performance.now() + Number(args.seconds) * 1000;
let sent = 0;
try {
  const signer = new Signer(server.target);
  const make = new Exchange(server.target);
  const bucket = { method: 'PUT', path: '/bench', payload: UNSIGNED, length: 0 };
  const { status, text } = await make.ask(signer.headOf(bucket), null, null);
  if (status !== 200) throw new Error(`making a bucket: ${status} ${text}`);
  make.close();
  const before = residentBytesOf(server.pids()) ?? 0;
  let most = 0;
  const look = setInterval(() => {
    most = Math.max(most, residentBytesOf(server.pids()) ?? 0);
  }, LOOK_MS);
  const startMs = performance.now();
  await Promise.all(Array.from({ length: uploads }, (_, i) => upload(signer, i)));
  clearInterval(look);
  const seconds = (performance.now() - startMs) / 1000;
  const mb = (n: number): string => `${(n / 1e6).toFixed(0)} MB`;
  console.log(`${uploads} uploads, ${mb(sent)} in all, ${(sent / 1e6 / seconds).toFixed(0)} MB/s`);
  console.log(`resident: ${mb(before)} before, at most ${mb(most)}`);
  console.log(`the most that the process ever had: ${mb(residentPeakBytesOf(server.pids()) ?? 0)}`);
} finally {
  await server.stop();
  rmSync(data, { recursive: true, force: true });
}

/** All but the last byte, or what there is time for; then it breaks off. An answer before that is a refusal. */
async function upload(signer: Signer, i: number): Promise<void> {
  const connection = new Exchange(server.target);
  await connection.opened;
  const { socket } = connection;
  const request = { method: 'PUT', path: `/bench/${i}`, payload: UNSIGNED, length: bytes };
  const answered = connection.ask(signer.headOf(request), null, null).then(
    ({ status, text }) => {
      throw new Error(`upload ${i} was answered: ${status} ${text}`);
    },
    (error: unknown) => {
      throw error;
    },
  );
  answered.catch(() => {}); // it is raced below; one that breaks off never answers
  for (let at = 0; at < bytes - 1 && performance.now() < endMs; at += PIECE.length) {
    const piece = at + PIECE.length < bytes ? PIECE : PIECE.subarray(1);
    sent += piece.length;
    if (socket.write(piece)) continue;
    await Promise.race([once(socket, 'drain'), answered]);
  }
  connection.close();
}
