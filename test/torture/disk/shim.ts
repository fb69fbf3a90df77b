import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('./shim.c', import.meta.url));
const CONTROL_BYTES = 40;

/** Compiles the shim into a folder. Returns its path, or why there is none. */
export function buildShim(folder: string): { path: string } | { missing: string } {
  if (process.platform !== 'linux') return { missing: 'LD_PRELOAD shims are for Linux' };
  const path = join(folder, 'shim.so');
  const args = ['-O2', '-shared', '-fPIC', '-o', path, SOURCE, '-ldl', '-lpthread'];
  const { status, error, stderr } = spawnSync('cc', args, { encoding: 'utf8' });
  if (error !== undefined) return { missing: 'there is no C compiler (cc)' };
  return status === 0 ? { path } : { missing: `the shim does not compile: ${stderr.trim()}` };
}

/** The faults of one node's disk and clock, in the page that the shim of its process reads. */
export class DiskControl {
  readonly path: string;
  readonly shadow: string;
  readonly #bootPath: string;
  readonly #page = Buffer.alloc(CONTROL_BYTES);
  #boots = 0;

  /** `folder`: of this node, on the same file system as its data and not inside it. */
  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.path = join(folder, 'control');
    this.shadow = join(folder, 'shadow');
    this.#bootPath = join(folder, 'boot-id');
    this.#page.writeBigInt64LE(1000n, 24);
    writeFileSync(this.path, this.#page);
    this.reboot();
  }

  /** What a node's process needs to run under the shim. */
  env(shim: string, data: string): Record<string, string> {
    return {
      LD_PRELOAD: shim,
      UV_USE_IO_URING: '0',
      TORTURE_DATA: data,
      TORTURE_SHADOW: this.shadow,
      TORTURE_CONTROL: this.path,
      TORTURE_BOOT_ID: this.#bootPath,
    };
  }

  /** Another boot of the machine: its kernel tells another id. */
  reboot(): void {
    writeFileSync(this.#bootPath, `torture-boot-${++this.#boots}\n`);
  }

  /** `slow` takes the delay in ms. */
  fsync(mode: 'works' | 'fails' | 'slow', delayMs = 0): void {
    this.#page.writeInt32LE({ works: 0, fails: 1, slow: 2 }[mode], 0);
    this.#page.writeInt32LE(delayMs, 4);
    this.#store();
  }

  /** `full`: writes fail with ENOSPC, the first is short. `filling`: they work, but no room is left. */
  room(room: 'enough' | 'filling' | 'full'): void {
    this.#page.writeInt32LE({ enough: 0, full: 1, filling: 2 }[room], 8);
    this.#page.writeInt32LE(room === 'full' ? 1 : 0, 12);
    this.#store();
  }

  /** The wall clock: off by so many ms from now on, and faster (2: twice) or slower. */
  clock(offsetMs: number, rate: number): void {
    this.#page.writeBigInt64LE(BigInt(Math.round(offsetMs)) * 1_000_000n, 16);
    this.#page.writeBigInt64LE(BigInt(Math.round(rate * 1000)), 24);
    this.#page.writeBigInt64LE(BigInt(Date.now()) * 1_000_000n, 32);
    this.#store();
  }

  #store(): void {
    const fd = openSync(this.path, 'r+');
    writeSync(fd, this.#page, 0, CONTROL_BYTES, 0);
    closeSync(fd);
  }
}
