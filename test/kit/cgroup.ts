import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = '/sys/fs/cgroup';

/** A control group of version 1 for one process; needs root. */
export class Cgroup {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Why there can be none here; null when there can. */
  static missing(controller: 'memory' | 'cpu'): string | null {
    if (process.getuid?.() !== 0) return 'control groups need root';
    const file = controller === 'memory' ? 'memory.limit_in_bytes' : 'cpu.cfs_quota_us';
    return existsSync(join(ROOT, controller, file)) || existsSync(join(ROOT, controller, 'tasks'))
      ? null
      : `there is no ${controller} controller of cgroup version 1`;
  }

  /** Makes a group with these settings, e.g. `{ 'memory.limit_in_bytes': '67108864' }`. */
  static make(controller: 'memory' | 'cpu', settings: Readonly<Record<string, string>>): Cgroup {
    const folder = join(ROOT, controller, `minikv-test-${process.pid}-${Date.now()}`);
    mkdirSync(folder);
    for (const [file, value] of Object.entries(settings)) writeFileSync(join(folder, file), value);
    return new Cgroup(folder);
  }

  add(pid: number): void {
    writeFileSync(join(this.#folder, 'cgroup.procs'), String(pid));
  }

  /** After its processes have ended. */
  remove(): void {
    rmdirSync(this.#folder);
  }
}
