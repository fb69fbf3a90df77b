import { DiskError, type DiskFile } from '../../storage/disk/port.ts';
import type { SimSession } from './sim-disk.ts';
import type { SimFile } from './sim-file.ts';

/** An open file of a SimDisk, as one process has it. */
export class SimDiskFile implements DiskFile {
  readonly #session: SimSession;
  readonly #path: string;
  readonly #file: SimFile;

  constructor(session: SimSession, path: string, file: SimFile) {
    this.#session = session;
    this.#path = path;
    this.#file = file;
  }

  size(): Promise<number> {
    return this.#access(() => this.#file.seen.length);
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return this.#access(() => this.#file.seen.read(offset, length));
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    const error = this.#write(offset, bytes);
    await this.#access(() => {});
    if (error !== null) throw error;
  }

  writeAndSync(offset: number, bytes: Uint8Array, done: (error: Error | null) => void): void {
    const error = this.#write(offset, bytes);
    if (error !== null)
      this.#session.later(this.#session.disk.faults.accessMs, 0, () => done(error));
    else this.#sync(bytes.length, done);
  }

  sync(): Promise<void> {
    return new Promise((resolved, rejected) => {
      this.#sync(0, (error) => (error === null ? resolved() : rejected(error)));
    });
  }

  async truncate(length: number): Promise<void> {
    if (this.#session.isAlive()) this.#file.truncate(length);
    await this.#access(() => {});
  }

  close(): Promise<void> {
    return this.#access(() => {});
  }

  #access<T>(work: () => T): Promise<T> {
    const { disk } = this.#session;
    return new Promise((resolved) => {
      this.#session.later(disk.faults.accessMs, 0, () => resolved(work()));
    });
  }

  /** In the page cache at once; short where there is no room. */
  #write(offset: number, bytes: Uint8Array): DiskError | null {
    if (!this.#session.isAlive()) return null;
    const { writeErrorCode, noRoomFor } = this.#session.disk.faults;
    if (noRoomFor === this.#path) {
      return new DiskError('ENOSPC', `${this.#path}: the simulated disk has no room for it`);
    }
    if (writeErrorCode !== null) {
      return new DiskError(writeErrorCode, `${this.#path}: the simulated disk is ill`);
    }
    const end = this.#file.seen.length + this.#session.room();
    const fitting = bytes.subarray(0, Math.max(0, Math.min(bytes.length, end - offset)));
    if (fitting.length > 0) this.#file.write(offset, fitting);
    if (fitting.length === bytes.length) return null;
    return new DiskError('ENOSPC', `${this.#path}: the simulated disk is full`);
  }

  #sync(bytes: number, done: (error: Error | null) => void): void {
    const { disk } = this.#session;
    const path = this.#path;
    disk.onMoment({ type: 'syncBegins', path, bytes });
    const { writeCount } = this.#file;
    this.#session.later(disk.faults.syncMs, disk.faults.slowMs, () => {
      this.#session.endSync(this.#file, writeCount, (error) => {
        disk.onMoment({ type: 'syncEnded', path, bytes });
        done(error);
      });
    });
  }
}
