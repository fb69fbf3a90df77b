import type { Compare } from '../../protocol/txn.ts';
import type { KeyRef } from '../../protocol/vshard.ts';

export interface ModelVersion {
  readonly value: string;
  readonly revision: number;
  readonly version: number;
  /** 0: none. */
  readonly lease: number;
}

/** What compares look at. */
export interface ComparedKeys {
  /** What a key is at a revision; null when absent. */
  at(ref: KeyRef, revision: number): ModelVersion | null;
  /** Of the current version of an object; null: there is none. */
  object(ref: KeyRef, revision: number): { etag: string; versionId: string } | null;
}

/** Whether every compare holds at a revision. */
export function holdsAll(
  compares: readonly Compare[],
  revision: number,
  keys: ComparedKeys,
): boolean {
  return compares.every(({ ref, relation, target }) => {
    const found = keys.at(ref, revision);
    if (target.type === 'etag' || target.type === 'versionId') {
      const object = keys.object(ref, revision);
      const isEqual =
        target.type === 'etag'
          ? object?.etag === target.etag
          : object?.versionId === target.versionId;
      return isEqual === (relation === '=');
    }
    if (target.type === 'value' && found === null) return relation === '!=';
    let order: number;
    if (target.type === 'exists') order = Number(found !== null) - Number(target.exists);
    else if (target.type === 'revision') order = (found?.revision ?? 0) - target.revision;
    else if (target.type === 'lease') order = (found?.lease ?? 0) - target.lease;
    else if (target.type === 'version') order = (found?.version ?? 0) - target.version;
    else order = Buffer.compare(Buffer.from(found?.value ?? '', 'latin1'), target.value);
    if (relation === '<') return order < 0;
    if (relation === '>') return order > 0;
    return (order === 0) === (relation === '=');
  });
}
