import type { DataId } from '../../protocol/blob.ts';
import type {
  CareProgress,
  ChunkCare,
  OnCare,
  RepairCounts,
  RestoreCounts,
  SweepCounts,
  VerifyCounts,
} from '../../protocol/chunk-care.ts';
import { AppError } from '../../protocol/errors.ts';
import type { NodeId } from '../../protocol/types.ts';
import type { BlobStore } from '../../storage/ports.ts';
import { hasDataRow } from '../apply/object-store.ts';
import type { Ports } from '../kit/ports.ts';
import { ChunkCheck } from './chunk-check.ts';
import { type ChoreActor, startChoreMachine } from './machine.ts';
import type { Mender } from './mender.ts';
import { restore } from './restore.ts';
import { firstMark, type ScrubPace } from './scrub-plan.ts';
import { Scrubber, type ScrubFinding } from './scrubber.ts';
import { judgeFiles, type SightHost } from './sights.ts';

const RECENT_EVERY_MS = 15_000;
/** Data that was drawn within this time is looked for again and again: its writer may have left this node out. */
const RECENT_MS = 10 * 60_000;
const FULL_EVERY_MS = 10 * 60_000;
/** After a round in which something could not be had. */
const AGAIN_MS = 30_000;
const SWEEP_EVERY_MS = 10 * 60_000;
const START_MS = 3_000;
const PAGE_FILES = 256;

export interface KeeperHost extends SightHost {
  readonly ports: Pick<Ports, 'clock' | 'telemetry'>;
  readonly blobs: BlobStore;
  readonly mender: Mender;
  /** Null: nothing is done unless it is asked for. */
  readonly pace: ScrubPace | null;
  /** Has all groups close the revisions up to now, as far as they can. */
  close(): Promise<void>;
  /** All other nodes that are known. */
  others(): readonly NodeId[];
}

/**
 * Keeps the chunks of this node: brings what it lacks, reads everything again in a period and mends what is damaged,
 * takes away what nothing names.
 */
export class BlobKeeper implements ChunkCare {
  readonly #host: KeeperHost;
  readonly #chores: readonly { readonly actor: ChoreActor; dueMs: number }[];
  readonly #check: ChunkCheck;
  #scrubber: Scrubber | null = null;
  #isScrubbing = false;
  #stopped = false;

  constructor(host: KeeperHost) {
    this.#host = host;
    this.#check = new ChunkCheck(host.blobs, () => this.#stopped);
    const nowMs = host.ports.clock.monotonicMs();
    const chore = (work: () => Promise<number>, atMs: number) => {
      const one = { actor: startChoreMachine({ work: () => run() }), dueMs: nowMs + atMs };
      const run = (): void => {
        one.dueMs = Number.POSITIVE_INFINITY;
        work().then(
          (againMs) => {
            one.dueMs = host.ports.clock.monotonicMs() + againMs;
            one.actor.send({ type: 'done' });
          },
          (error: unknown) => {
            this.#trouble(error);
            one.dueMs = host.ports.clock.monotonicMs() + AGAIN_MS;
            one.actor.send({ type: 'done' });
          },
        );
      };
      return one;
    };
    this.#chores = [
      chore(() => this.#restoreAll(), START_MS),
      chore(() => this.#restoreRecent(), RECENT_EVERY_MS),
      chore(async () => {
        await this.#sweep(begun(noneSwept()));
        return SWEEP_EVERY_MS;
      }, SWEEP_EVERY_MS),
    ];
  }

  /** Called about once a second. */
  tick(): void {
    if (this.#stopped || this.#host.pace === null) return;
    if (!this.#isScrubbing) {
      this.#isScrubbing = true;
      this.#startScrubber(this.#host.pace).catch((error: unknown) => {
        this.#isScrubbing = false;
        this.#trouble(error);
      });
    }
    const nowMs = this.#host.ports.clock.monotonicMs();
    for (const { actor, dueMs } of this.#chores) if (nowMs >= dueMs) actor.send({ type: 'tick' });
  }

  stop(): void {
    this.#stopped = true;
    for (const { actor } of this.#chores) actor.stop();
    this.#host.mender.stop();
    void this.#scrubber?.stop();
  }

  /** Reads every chunk of this node now, and looks for those it is to have. Changes nothing. */
  verify(onCare?: OnCare<RepairCounts>): Promise<RepairCounts> {
    return this.#readAll(onCare, false);
  }

  /** As verify; what is damaged or missing is brought from other nodes. */
  repair(onCare?: OnCare<RepairCounts>): Promise<RepairCounts> {
    return this.#readAll(onCare, true);
  }

  /** Takes away the chunks that no record needs, and none ever can (sweep.ts). */
  async sweep(onCare?: OnCare<SweepCounts>): Promise<SweepCounts> {
    const progress = begun(noneSwept());
    onCare?.(progress);
    if (onCare !== undefined) progress.total = await this.#check.files();
    progress.phase = 'sweeping';
    await this.#sweep(progress);
    this.#expectRunning();
    return progress.counts;
  }

  async #readAll(onCare: OnCare<RepairCounts> | undefined, mends: boolean): Promise<RepairCounts> {
    const progress = begun<RepairCounts>({ ...NOTHING_VERIFIED, ...NOTHING_RESTORED });
    const { counts } = progress;
    onCare?.(progress);
    if (onCare !== undefined) progress.total = await this.#check.files();
    progress.phase = 'reading';
    await this.#check.all(progress, async (name) => {
      if (!mends) return;
      if ((await this.#mendDamaged(name)) === 'mended') counts.mended++;
      else counts.lost++;
    });
    progress.phase = 'restoring';
    await this.#restore(null, mends, counts);
    this.#expectRunning();
    return counts;
  }

  async #sweep(progress: CareProgress<SweepCounts>): Promise<void> {
    const { blobs, close, ports } = this.#host;
    const { counts } = progress;
    await close();
    let after: string | null = null;
    while (!this.#stopped) {
      const files = await blobs.list(after, PAGE_FILES);
      const last = files[files.length - 1];
      if (last === undefined) break;
      after = last.path;
      const page = await judgeFiles(files, this.#host);
      for (const verdict of ['named', 'young', 'unseen', 'unneeded'] as const) {
        counts[verdict] += page.counts[verdict];
      }
      progress.looked += files.length;
      if (page.unneeded.length === 0) continue;
      const unneeded = new Set(page.unneeded);
      const usage = await blobs.measure(files.filter(({ name }) => name && unneeded.has(name)));
      await blobs.remove(page.unneeded);
      counts.removed += usage.chunks;
      counts.removedBytes += usage.bytes;
    }
    if (counts.removed > 0) ports.telemetry.count('blob_chunks_swept', counts.removed);
  }

  /** What stopped half-way has counted half. */
  #expectRunning(): void {
    if (this.#stopped) throw new AppError('unavailable', 'the node is stopping');
  }

  /** Whether a group here knows of this data: then nobody may take it away. */
  isKnown(id: DataId): boolean {
    return this.#host
      .groups()
      .some(({ state: { prefix, store } }) =>
        hasDataRow({ prefix, get: (key) => store.get(key) }, id),
      );
  }

  async #restoreAll(): Promise<number> {
    const counts = await this.#restore(null, true, { ...NOTHING_RESTORED });
    if (counts.missing > 0) {
      this.#host.ports.telemetry.log('info', 'chunks that were missing here', { ...counts });
    }
    return counts.missing > counts.mended ? AGAIN_MS : FULL_EVERY_MS;
  }

  async #restoreRecent(): Promise<number> {
    const sinceMs = this.#host.ports.clock.wallMs() - RECENT_MS;
    await this.#restore(sinceMs, true, { ...NOTHING_RESTORED });
    return RECENT_EVERY_MS;
  }

  async #restore<C extends RestoreCounts>(
    sinceMs: number | null,
    mends: boolean,
    counts: C,
  ): Promise<C> {
    const { mender, groups, ports } = this.#host;
    const parts = { clock: ports.clock, mender, groups, isStopped: () => this.#stopped };
    await restore(parts, sinceMs, mends, counts);
    return counts;
  }

  /** It goes on where it was when the process ended. */
  async #startScrubber(pace: ScrubPace): Promise<void> {
    const { blobs, ports } = this.#host;
    const mark = (await blobs.loadMark()) ?? firstMark(ports.clock.wallMs());
    if (this.#stopped) return;
    this.#scrubber = new Scrubber({
      ...{ store: blobs, clock: ports.clock, pace, mark },
      onFinding: (finding) => this.#found(finding),
      save: (next) => blobs.saveMark(next),
      onTrouble: (error) => this.#trouble(error),
    });
    this.#scrubber.start();
  }

  async #found(finding: ScrubFinding): Promise<void> {
    const { telemetry } = this.#host.ports;
    telemetry.count('blob_chunks_scrubbed', 1, { state: finding.state });
    if (finding.state !== 'damaged') return;
    telemetry.log('error', 'a chunk is damaged', { ...finding.name, reason: finding.reason });
    await this.#mendDamaged(finding.name);
  }

  /** What nobody else has stays out of the way, to be looked at. */
  async #mendDamaged(name: Parameters<Mender['mend']>[0]) {
    const mended = await this.#host.mender.mend(name, null, this.#host.others());
    if (mended === 'lost') await this.#host.blobs.setAside(name);
    return mended;
  }

  #trouble(error: unknown): void {
    if (!(error instanceof Error)) throw error;
    const { telemetry } = this.#host.ports;
    telemetry.log('warn', 'chunks cannot be looked after now', { error: error.message });
  }
}

const NOTHING_RESTORED: RestoreCounts = Object.freeze({
  chunks: 0,
  missing: 0,
  mended: 0,
  lost: 0,
});

const NOTHING_VERIFIED: VerifyCounts = Object.freeze({
  verified: 0,
  verifiedBytes: 0,
  damaged: 0,
  foreign: 0,
});

function noneSwept(): SweepCounts {
  return { named: 0, young: 0, unseen: 0, unneeded: 0, removed: 0, removedBytes: 0 };
}

function begun<C>(counts: C): CareProgress<C> {
  return { phase: 'counting', looked: 0, total: null, counts };
}
