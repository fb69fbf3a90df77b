import { closeSync, existsSync, fdatasyncSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { Histogram } from './histogram.ts';
import type { Job, JobResult } from './job.ts';

/**
 * What the disk itself takes: one writer appends a record to a file that is already full of zeros, as a WAL
 * segment is, and syncs it, again and again. No thread and no event loop between.
 */
const RECORD_BYTES = 150;
const FILE_BYTES = 16 * 1024 * 1024;
/** The loop lets the process breathe this often. */
const SLICE_MS = 20;

export async function runDisk(job: Job, onWindow: () => void): Promise<JobResult> {
  const file = openFile(job.file as string);
  const histogram = new Histogram();
  let at = 0;
  const record = Buffer.alloc(RECORD_BYTES, 'r');
  const append = (): void => {
    const startMs = performance.now();
    writeSync(file, record, 0, RECORD_BYTES, at);
    fdatasyncSync(file);
    histogram.record((performance.now() - startMs) * 1000);
    at = (at + RECORD_BYTES) % (FILE_BYTES - RECORD_BYTES);
  };
  await during(job.warmupMs, append);
  histogram.clear();
  const cpu = process.cpuUsage();
  onWindow();
  const seconds = await during(job.windowMs, append);
  const used = process.cpuUsage(cpu);
  closeSync(file);
  return {
    ...{ requests: histogram.count, keys: histogram.count, errors: 0, firstError: null, seconds },
    clientCpuSeconds: (used.user + used.system) / 1e6,
    latency: histogram.summary(),
  };
}

function openFile(path: string): number {
  const isThere = existsSync(path);
  const file = openSync(path, isThere ? 'r+' : 'w+');
  if (!isThere) {
    const zeros = Buffer.alloc(1024 * 1024);
    for (let at = 0; at < FILE_BYTES; at += zeros.length) {
      writeSync(file, zeros, 0, zeros.length, at);
    }
    fsyncSync(file);
  }
  return file;
}

/** Calls it for so long; returns the seconds that it took. */
async function during(ms: number, call: () => void): Promise<number> {
  const startMs = performance.now();
  for (let nowMs = startMs; nowMs - startMs < ms; nowMs = performance.now()) {
    while (performance.now() - nowMs < SLICE_MS) call();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return (performance.now() - startMs) / 1000;
}
