import type { DiskMoment } from './machine.ts';
import type { ReplicaChange } from './probe.ts';

/** Waits for moments; each listener says whether it goes on waiting. */
export class Aim {
  readonly changes = new Set<(change: ReplicaChange) => boolean>();
  readonly moments = new Set<(node: number, moment: DiskMoment) => boolean>();

  onChange(change: ReplicaChange): void {
    for (const listener of this.changes) if (!listener(change)) this.changes.delete(listener);
  }

  onMoment(node: number, moment: DiskMoment): void {
    for (const listener of this.moments) {
      if (!listener(node, moment)) this.moments.delete(listener);
    }
  }
}
