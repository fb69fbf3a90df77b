import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { etagOf } from './answers.ts';
import { lengthOf, ORIGIN, partCountOf } from './kept-headers.ts';
import { patiently, S3Failure } from './s3-client.ts';
import type { ObjectRef, Upload } from './store.ts';
import { type Copied, type CopyParts, copyHeaders, expectETag, hashing } from './transfer.ts';

const PART_BYTES_MIN = 5 * 1024 * 1024;
const PARTS_MAX = 10_000;
const MIB = 1024 * 1024;
/** The source has another state of the object by now. */
export const CHANGED = 'changed';
/** Parts of one object under way at once. */
const AT_ONCE = 4;

interface Layout {
  readonly partBytes: number;
  readonly count: number;
  /** The copy's parts are the original's, so its ETag will be the same. */
  readonly isOriginal: boolean;
}

/**
 * One object in parts, each streamed by a ranged GET of one and the same state of the source. An upload that
 * an earlier run began is gone on with, by what the target says it has.
 */
export class MultipartCopy {
  readonly #parts: CopyParts;
  readonly #source: ObjectRef;
  readonly #target: ObjectRef;

  constructor(parts: CopyParts, source: ObjectRef, target: ObjectRef) {
    this.#parts = parts;
    this.#source = source;
    this.#target = target;
  }

  async run(): Promise<Copied> {
    const head = await this.#parts.from.head(this.#source);
    if (head === null) return 'gone';
    const layout = await this.#layout(head);
    // Twice: it may have been a damaged byte on its way.
    for (let attempt = 0; attempt < 2; attempt++) {
      if (await this.#copy(head, layout)) return layout.isOriginal ? 'copied' : 'unproven';
    }
    // The parts of the original were of different lengths, or its ETag is not of them.
    const own = this.#ownLayout(lengthOf(head));
    await this.#copy(head, own);
    return 'unproven';
  }

  /** False: the parts are not those that the original's ETag is made of; nothing is left of them. */
  async #copy(head: IncomingHttpHeaders, layout: Layout): Promise<boolean> {
    const { to, progress } = this.#parts;
    const begun = await this.#begin(head, layout);
    const etags = await this.#copyParts(head, layout, begun);
    const composite = compositeETag(etags);
    if (layout.isOriginal && composite !== etagOf(head)) {
      await to.abortUpload(begun.upload);
      progress.forgetUpload(this.#target);
      return false;
    }
    const etag = await to.completeUpload(begun.upload, etags);
    progress.forgetUpload(this.#target);
    expectETag(this.#target, etag, composite);
    return true;
  }

  async #begin(
    head: IncomingHttpHeaders,
    { partBytes, isOriginal }: Layout,
  ): Promise<{ upload: Upload; done: ReadonlyMap<number, string> }> {
    const { to, progress } = this.#parts;
    const origin = etagOf(head);
    const known = progress.uploadOf(this.#target);
    if (known !== null) {
      const upload = { ...this.#target, uploadId: known.uploadId };
      const isSame = known.origin === origin && known.partBytes === partBytes;
      const parts = isSame ? await to.parts(upload) : null;
      if (parts !== null) {
        return { upload, done: new Map(parts.map(({ number, etag }) => [number, etag])) };
      }
      await to.abortUpload(upload);
      progress.forgetUpload(this.#target);
    }
    const kept = await copyHeaders(this.#parts, this.#source, head);
    const mark: Record<string, string> = isOriginal ? {} : { [ORIGIN]: origin };
    const upload = await to.beginUpload(this.#target, { ...kept, ...mark });
    progress.keepUpload(this.#target, { uploadId: upload.uploadId, origin, partBytes });
    return { upload, done: new Map() };
  }

  /** ETags of all parts, in order. */
  async #copyParts(
    head: IncomingHttpHeaders,
    { partBytes, count }: Layout,
    { upload, done }: { upload: Upload; done: ReadonlyMap<number, string> },
  ): Promise<string[]> {
    const size = lengthOf(head);
    const etags: string[] = [];
    let next = 1;
    const worker = async (): Promise<void> => {
      for (let number = next++; number <= count; number = next++) {
        const from = (number - 1) * partBytes;
        const bytes = Math.min(partBytes, size - from);
        const known = done.get(number);
        try {
          etags[number - 1] = known ?? (await this.#copyPart(head, upload, number, from, bytes));
        } catch (error) {
          next = count + 1; // the others need not go on
          throw error;
        }
        this.#parts.onBytes(known === undefined ? bytes : 0);
      }
    };
    const workers = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker));
    for (const one of workers) if (one.status === 'rejected') throw one.reason;
    return etags;
  }

  #copyPart(
    head: IncomingHttpHeaders,
    upload: Upload,
    number: number,
    from: number,
    bytes: number,
  ): Promise<string> {
    const range = { range: `bytes=${from}-${from + bytes - 1}` };
    const condition = { 'if-match': `"${etagOf(head)}"` };
    return patiently(this.#parts.io, async () => {
      const answer = await this.#parts.from
        .get(this.#source, bytes === 0 ? condition : { ...condition, ...range })
        .catch((error: unknown) => {
          if (!(error instanceof S3Failure) || error.status !== 412) throw error;
          throw new S3Failure(`${this.#source.key} was changed meanwhile`, CHANGED, 412);
        });
      try {
        if (lengthOf(answer.headers) !== bytes) {
          throw new S3Failure(`${this.#source.key}: the source gives no ranges`, 'no_ranges', 400);
        }
        const { stream, md5 } = hashing(answer.stream);
        const etag = await this.#parts.to.putPart(upload, number, { stream, bytes });
        expectETag(this.#target, etag, md5());
        return etag;
      } finally {
        answer.stream.destroy();
      }
    });
  }

  /** The parts of the original, where it tells them and they are of one length. */
  async #layout(head: IncomingHttpHeaders): Promise<Layout> {
    const size = lengthOf(head);
    const count = partCountOf(etagOf(head));
    if (count === null) return this.#ownLayout(size);
    if (count === 1) return { partBytes: Math.max(1, size), count, isOriginal: true };
    const first = await this.#parts.from.head(this.#source, 1).catch(() => null);
    const partBytes = first === null ? 0 : lengthOf(first);
    const fits = partBytes >= PART_BYTES_MIN && Math.ceil(size / partBytes) === count;
    return fits ? { partBytes, count, isOriginal: true } : this.#ownLayout(size);
  }

  #ownLayout(size: number): Layout {
    const least = Math.max(this.#parts.partBytes, size / PARTS_MAX);
    const partBytes = Math.ceil(least / MIB) * MIB;
    return { partBytes, count: Math.max(1, Math.ceil(size / partBytes)), isOriginal: false };
  }
}

/** As S3 makes it of the parts' own. */
export function compositeETag(etags: readonly string[]): string {
  const hash = createHash('md5');
  for (const etag of etags) hash.update(Buffer.from(etag, 'hex'));
  return `${hash.digest('hex')}-${etags.length}`;
}
