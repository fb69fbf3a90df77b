import type { Io } from '../io.ts';
import type { ListedObject, ListedVersion } from './answers.ts';
import { mirrorSettings, SETTINGS_AFTER, SETTINGS_BEFORE } from './bucket-settings.ts';
import { copyObject } from './copy-object.ts';
import { Frontier } from './frontier.ts';
import { ORIGIN } from './kept-headers.ts';
import { Pool } from './pool.ts';
import { S3Failure } from './s3-client.ts';
import type { Progress } from './state.ts';
import type { ObjectRef, S3Store } from './store.ts';
import type { CopyParts } from './transfer.ts';
import { versionsByKey } from './versions.ts';

export interface MirrorCounts {
  /** Objects, versions and delete markers that the source listed. */
  listed: number;
  copied: number;
  copiedBytes: number;
  /** The target had them already. */
  skipped: number;
  /** Deleted at the source while it was listed. */
  gone: number;
  failed: number;
  /** Of `copied`: the source's ETag does not tell of which bytes. */
  unproven: number;
  /** Documents of buckets' settings. */
  settings: number;
}

export interface MirrorFailure {
  readonly bucket: string;
  readonly key: string;
  readonly code: string;
  readonly message: string;
}

export interface MirrorPlan {
  readonly bucket: string;
  readonly target: string;
  readonly prefix: string;
}

export interface MirrorParts {
  readonly io: Io;
  readonly from: S3Store;
  readonly to: S3Store;
  readonly progress: Progress;
  readonly versions: boolean;
  readonly settings: boolean;
  readonly locks: boolean;
  readonly parallel: number;
  readonly wholeBytesMax: number;
  readonly partBytes: number;
}

const FAILURES_KEPT = 1_000;

/** Copies buckets, a few objects at once; what the target has already is left as it is, nothing is deleted there. */
export class MirrorRun {
  readonly counts: MirrorCounts = {
    ...{ listed: 0, copied: 0, copiedBytes: 0, skipped: 0, gone: 0, failed: 0, unproven: 0 },
    settings: 0,
  };
  readonly failures: MirrorFailure[] = [];
  readonly #parts: MirrorParts;
  readonly #copy: CopyParts;

  constructor(parts: MirrorParts) {
    this.#parts = parts;
    this.#copy = {
      ...parts,
      onBytes: (bytes) => {
        this.counts.copiedBytes += bytes;
      },
    };
  }

  /** Throws where a bucket cannot be listed or made; single objects that fail are counted. */
  async bucket(plan: MirrorPlan): Promise<void> {
    const { to, from, progress, versions, parallel, locks } = this.#parts;
    if (!(await to.hasBucket(plan.target))) {
      await to.createBucket(plan.target, locks && (await from.hasLock(plan.bucket)));
    }
    if (versions && (await from.versioning(plan.bucket)) !== null) {
      await to.setVersioning(plan.target, 'Enabled');
    }
    await this.#settings(plan, SETTINGS_BEFORE);
    const frontier = new Frontier((key) => progress.moveTo(plan.bucket, key));
    const pool = new Pool(parallel);
    try {
      await (versions ? this.#versions(plan, frontier, pool) : this.#objects(plan, frontier, pool));
    } finally {
      await pool.drained();
    }
  }

  /** What can be set once all objects are there. What is refused is counted as failed, under `?<sub-resource>`. */
  async settingsAfter(plan: MirrorPlan): Promise<void> {
    const { from, to, settings, locks } = this.#parts;
    if (!settings || this.#isStopped) return;
    const status = await from.versioning(plan.bucket);
    if (status === 'Enabled' || status === 'Suspended') {
      await to.setVersioning(plan.target, status);
      this.counts.settings++;
    }
    const names = SETTINGS_AFTER.filter((name) => locks || name !== 'object-lock');
    await this.#settings(plan, names);
  }

  async #settings(plan: MirrorPlan, names: readonly string[]): Promise<void> {
    const { from, to, settings } = this.#parts;
    if (!settings) return;
    const { copied, failures } = await mirrorSettings(from, to, plan, names);
    this.counts.settings += copied.length;
    this.counts.failed += failures.length;
    for (const { name, code, message } of failures) {
      this.failures.push({ bucket: plan.bucket, key: `?${name}`, code, message });
    }
  }

  get #isStopped(): boolean {
    return this.#parts.io.signal.aborted;
  }

  async #objects(plan: MirrorPlan, frontier: Frontier, pool: Pool): Promise<void> {
    const { from, progress } = this.#parts;
    let after = progress.after(plan.bucket);
    for await (const { objects } of from.list(plan.bucket, plan.prefix, after)) {
      const there = await this.#there(plan, after, objects);
      for (const object of objects) {
        if (this.#isStopped) return;
        this.counts.listed++;
        const done = frontier.begin(object.key);
        const known = there.get(object.key);
        await pool.add(() =>
          this.#counted(plan, object.key, done, async () => {
            const target = { bucket: plan.target, key: object.key, versionId: null };
            if (known !== undefined && (await this.#isSame(object, known, target))) {
              this.counts.skipped++;
              return;
            }
            await this.#copied({ ...target, bucket: plan.bucket }, target, object);
          }),
        );
      }
      after = objects.at(-1)?.key ?? after;
      if (this.#isStopped) return;
    }
  }

  /** What the target has of one page of the source. */
  async #there(
    { target, prefix }: MirrorPlan,
    after: string | null,
    objects: readonly ListedObject[],
  ): Promise<ReadonlyMap<string, ListedObject>> {
    const wanted = new Set(objects.map(({ key }) => key));
    const last = Buffer.from(objects.at(-1)?.key ?? '');
    const found = new Map<string, ListedObject>();
    if (objects.length === 0) return found;
    for await (const page of this.#parts.to.list(target, prefix, after)) {
      for (const object of page.objects) if (wanted.has(object.key)) found.set(object.key, object);
      const end = page.objects.at(-1)?.key;
      if (end === undefined || Buffer.compare(Buffer.from(end), last) >= 0) break;
    }
    return found;
  }

  async #versions(plan: MirrorPlan, frontier: Frontier, pool: Pool): Promise<void> {
    const { from, progress } = this.#parts;
    const pages = from.listVersions(plan.bucket, plan.prefix, progress.after(plan.bucket));
    for await (const { key, versions } of versionsByKey(pages)) {
      if (this.#isStopped) return;
      this.counts.listed += versions.length;
      const done = frontier.begin(key);
      await pool.add(() =>
        this.#counted(plan, key, done, () => this.#versionsOf(plan, key, versions.reverse())),
      );
    }
  }

  /** Oldest first; those that the target has from the beginning on are skipped. */
  async #versionsOf(plan: MirrorPlan, key: string, versions: ListedVersion[]): Promise<void> {
    const target = { bucket: plan.target, key, versionId: null };
    const there: ListedVersion[] = [];
    const pages = this.#parts.to.listVersions(plan.target, key, null);
    for await (const page of pages) {
      there.push(...page.versions.filter((version) => version.key === key));
      if (page.versions.some((version) => version.key !== key)) break; // longer keys follow
    }
    there.reverse();
    for (const [i, version] of versions.entries()) {
      if (this.#isStopped) throw new S3Failure('stopped', 'stopped', 0);
      const known = there[i];
      if (known !== undefined) {
        const place = { ...target, versionId: known.versionId };
        const isSame =
          version.isMarker || known.isMarker
            ? version.isMarker === known.isMarker
            : await this.#isSame(version, known, place);
        if (!isSame) {
          const text = 'the target has other versions of this key than the source';
          throw new S3Failure(`${plan.target}/${key}: ${text}`, 'diverged', 409);
        }
        this.counts.skipped++;
      } else if (version.isMarker) {
        await this.#parts.to.remove(target);
        this.counts.copied++;
      } else {
        const source = { bucket: plan.bucket, key, versionId: version.versionId };
        await this.#copied(source, target, version);
      }
    }
  }

  /** By size and ETag; where the ETag cannot be kept, by the one that the copy remembers. */
  async #isSame(source: ListedObject, known: ListedObject, target: ObjectRef): Promise<boolean> {
    if (source.size !== known.size) return false;
    if (source.etag === known.etag) return true;
    return (await this.#parts.to.head(target))?.[ORIGIN] === source.etag;
  }

  async #copied(source: ObjectRef, target: ObjectRef, listed: ListedObject): Promise<void> {
    const outcome = await copyObject(this.#copy, source, target, listed);
    if (outcome === 'gone') this.counts.gone++;
    else this.counts.copied++;
    if (outcome === 'unproven') this.counts.unproven++;
  }

  /** What fails is counted, and is not passed by the frontier: the next run looks at it again. */
  async #counted(
    { bucket }: MirrorPlan,
    key: string,
    done: () => void,
    work: () => Promise<void>,
  ): Promise<void> {
    try {
      await work();
      done();
    } catch (error) {
      if (this.#isStopped) return;
      const { code = 'failed' } = error as { code?: string };
      this.counts.failed++;
      if (this.failures.length >= FAILURES_KEPT) return;
      const message = error instanceof Error ? error.message : String(error);
      this.failures.push({ bucket, key, code, message });
    }
  }
}
