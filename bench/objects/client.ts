import { createHash } from 'node:crypto';
import { Histogram } from '../client/histogram.ts';
import { Random } from '../client/random.ts';
import { Exchange } from './exchange.ts';
import type { FromClient, ObjectJob, ObjectResult } from './job.ts';
import { Signer, UNSIGNED } from './signer.ts';

/** The process that makes the load: jobs come by message, one at a time. All bytes of answers are compared. */

/** All objects of a size have the same bytes. */
function bodyOf(bytes: number): Buffer {
  const random = new Random(bytes);
  const unit = random.bytes(Math.min(bytes, 1024 * 1024));
  return bytes === unit.length ? unit : Buffer.alloc(bytes, unit);
}

async function run(job: ObjectJob): Promise<ObjectResult> {
  const { target, operation, bytes, objects, isHashed, windowMs, warmupMs } = job;
  const body = bodyOf(bytes);
  const method = job.fill || operation === 'put' ? 'PUT' : 'GET';
  const signer = new Signer(target);
  const sha256 = isHashed ? createHash('sha256').update(body).digest('hex') : UNSIGNED;
  const etag = createHash('md5').update(body).digest('hex');
  const heads = Array.from({ length: objects }, (_, n) =>
    signer.headOf({
      ...{ method, path: `/bench/${bytes}/${n}`, payload: method === 'PUT' ? sha256 : UNSIGNED },
      length: method === 'PUT' ? bytes : 0,
    }),
  );
  const connections = Array.from({ length: job.connections }, () => new Exchange(target));
  await Promise.all(connections.map(({ opened }) => opened));
  const histogram = new Histogram();
  const startMs = performance.now();
  let countFromMs = job.fill ? startMs : startMs + warmupMs;
  const endMs = job.fill ? Number.POSITIVE_INFINITY : countFromMs + windowMs;
  let next = 0;
  let cpu = process.cpuUsage();
  let lastMs = startMs;
  let counted = 0;
  const loop = async (connection: Exchange, i: number): Promise<void> => {
    const random = new Random(i + 1);
    for (;;) {
      const beganMs = performance.now();
      if (beganMs >= endMs || (job.fill && next >= objects)) return;
      if (beganMs >= countFromMs && histogram.count === 0 && counted === 0)
        cpu = process.cpuUsage();
      // A large object is one connection's own, so that nobody writes what another one writes.
      const n = job.fill
        ? next++
        : objects <= job.connections
          ? i % objects
          : random.below(objects);
      const head = heads[n] as string;
      const reply = await connection.ask(
        head,
        method === 'PUT' ? body : null,
        method === 'PUT' ? null : body,
      );
      if (reply.status !== 200)
        throw new Error(`${head.slice(0, 60)}: ${reply.status} ${reply.text}`);
      if (method === 'PUT' && !reply.head.includes(etag)) throw new Error('another ETag');
      const nowMs = performance.now();
      if (beganMs < countFromMs) continue;
      counted++;
      lastMs = nowMs;
      histogram.record((nowMs - beganMs) * 1000);
    }
  };
  if (job.fill) countFromMs = startMs;
  await Promise.all(connections.map(loop));
  for (const connection of connections) connection.close();
  const used = process.cpuUsage(cpu);
  const seconds = (lastMs - countFromMs) / 1000;
  return {
    perSecond: counted / seconds,
    megabytesPerSecond: (counted * bytes) / 1e6 / seconds,
    latency: histogram.summary(),
    clientCores: (used.user + used.system) / 1e6 / seconds,
  };
}

const send = (message: FromClient): void => void process.send?.(message);
process.on('message', (job: ObjectJob) => {
  run(job).then(
    (result) => send({ type: 'result', result }),
    (error: unknown) => send({ type: 'failed', reason: String(error) }),
  );
});
send({ type: 'ready' });
