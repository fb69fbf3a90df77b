import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** A file system of its own, in memory, that can be filled; needs the right to mount. */
export class SmallDisk {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Why there can be none here; null when there can. */
  static missing(): string | null {
    if (process.getuid?.() !== 0) return 'mounting a small disk needs root';
    const probe = join('/tmp', `minikv-mount-probe-${process.pid}`);
    try {
      mkdirSync(probe, { recursive: true });
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', probe], { stdio: 'ignore' });
      execFileSync('umount', [probe]);
      return null;
    } catch {
      return 'this process may not mount';
    } finally {
      if (existsSync(probe)) rmSync(probe, { recursive: true, force: true });
    }
  }

  static mount(folder: string, mib: number): SmallDisk {
    mkdirSync(folder, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', folder]);
    return new SmallDisk(folder);
  }

  freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  }

  /** Leaves so many bytes free, with a file that belongs to nobody; 0 leaves nothing at all. */
  fillTo(freeBytes: number): void {
    const file = openSync(join(this.folder, 'filler'), 'a');
    const block = Buffer.alloc(64 * 1024, 1);
    try {
      for (let left = this.freeBytes() - freeBytes; left > 0; left -= block.length) {
        writeSync(file, block, 0, Math.min(left, block.length));
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    const file = openSync(join(this.folder, 'filler'), 'a');
    ftruncateSync(file, 0);
    closeSync(file);
  }

  resize(mib: number): void {
    execFileSync('mount', ['-o', `remount,size=${mib}m`, this.folder]);
  }

  /** Lazily: a process that still holds a file does not keep the test from ending. */
  unmount(): void {
    execFileSync('umount', ['-l', this.folder]);
  }
}
