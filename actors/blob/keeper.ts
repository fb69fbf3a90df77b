import type { ChunkName, DataId } from '../../protocol/blob.ts';
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
import { Chore } from './chore.ts';
import { ChunkCheck } from './chunk-check.ts';
import { Holdings } from './holdings.ts';
import type { Mended, Mender } from './mender.ts';
import { type KeptGroup, type RestoreHost, restore } from './restore.ts';
import { firstMark, type ScrubPace } from './scrub-plan.ts';
import { Scrubber, type ScrubFinding } from './scrubber.ts';
import { judgeFiles, type SightHost } from './sights.ts';

const RECENT_EVERY_MS = 15_000;
/** Data that was drawn within this time is looked for again and again: its writer may have left this node out. */
const RECENT_MS = 10 * 60_000;
const SWEEP_EVERY_MS = 10 * 60_000;
const PAGE_FILES = 256;

export interface KeeperHost extends SightHost {
  readonly ports: Pick<Ports, 'clock' | 'telemetry'>;
  readonly blobs: BlobStore;
  readonly mender: Mender;
  /** Null: nothing is done unless it is asked for. */
  readonly pace: ScrubPace | null;
  /** All replicas here, that of the meta group too. */
  replicas(): readonly KeptGroup[];
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
  /** What the replicas here say of their chunks. */
  readonly holdings: Holdings;
  readonly #chores: readonly Chore[];
  readonly #check: ChunkCheck;
  #scrubber: Scrubber | null = null;
  #isScrubbing = false;
  #stopped = false;

  constructor(host: KeeperHost) {
    this.#host = host;
    this.#check = new ChunkCheck(host.blobs, () => this.#stopped);
    const chores = { clock: host.ports.clock, onTrouble: (error: unknown) => this.#trouble(error) };
    this.holdings = new Holdings({
      ...{ ports: host.ports, onTrouble: chores.onTrouble },
      groups: () => host.replicas(),
      restoring: (onLost) => this.#restoring(onLost),
    });
    this.#chores = [
      new Chore(chores, () => this.#restoreRecent(), RECENT_EVERY_MS),
      new Chore(chores, () => this.#sweepAgain(), SWEEP_EVERY_MS),
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
    for (const chore of this.#chores) chore.tick(nowMs);
    this.holdings.tick();
  }

  stop(): void {
    this.#stopped = true;
    for (const chore of this.#chores) chore.stop();
    this.holdings.stop();
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

  async #sweepAgain(): Promise<number> {
    await this.#sweep(begun(noneSwept()));
    return SWEEP_EVERY_MS;
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
    const host = this.#restoring(() => {});
    for (const kept of this.#host.groups()) await restore(host, kept, { sinceMs, mends }, counts);
    return counts;
  }

  #restoring(onLost: RestoreHost['onLost']): RestoreHost {
    const { mender, ports } = this.#host;
    return { clock: ports.clock, mender, isStopped: () => this.#stopped, onLost };
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

  /** A chunk that should be here is not, or cannot be read. */
  unreadable(name: ChunkName, holders: readonly NodeId[]): void {
    if (this.#host.pace === null) return;
    this.#mendDamaged(name, holders).catch((error: unknown) => this.#trouble(error));
  }

  /** What nobody else has stays out of the way, to be looked at. */
  async #mendDamaged(name: ChunkName, sources = this.#host.others()): Promise<Mended> {
    const mended = await this.#host.mender.mend(name, null, sources);
    if (mended === 'lost') await this.#host.blobs.setAside(name);
    if (mended !== 'mended') this.holdings.doubt();
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
