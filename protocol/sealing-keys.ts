/** Where a data folder has something sealed. */
export type SealedPlace = 'log' | 'values' | 'chunks' | 'snapshots';

export interface ResealProgress {
  /** Segments, values, chunks or snapshots that were looked at in this round. */
  readonly seen: number;
  /** Null: that is not known. */
  readonly total: number | null;
  /** Of those seen, sealed anew. */
  readonly resealed: number;
  /** Of those seen, left as they are since they do not open. */
  readonly damaged: number;
}

/** How far a node's data folder is on its way from one data key to the next. */
export interface DataKeyStatus {
  /** The number of the data key that seals what is written. */
  readonly dataKey: number;
  /** Of all data keys in the folder, rising; more than one while there may be something sealed under an older one. */
  readonly dataKeys: readonly number[];
  /** `waiting`: for the next round of resealing. */
  readonly state: 'idle' | 'resealing' | 'waiting';
  /** Where it is; null when it does not reseal. */
  readonly at: SealedPlace | null;
  /** Of the round that is under way, or was the last one since the start of the process. */
  readonly places: Readonly<Partial<Record<SealedPlace, ResealProgress>>>;
  readonly rounds: number;
  /** Why the last round ended early, until one does not. */
  readonly error: string | null;
}

/** What the root key of a node was changed to. */
export interface RootKeyChange {
  /** Ids, 16 hex digits each. */
  readonly rootKey: string;
  readonly before: string;
}

/** The keys of one node's encrypted data folder, while it runs. */
export interface DataKeys {
  status(): DataKeyStatus;
  /** Resolves when a new data key is kept and seals what is written. Rejects with AppError `conflict` while an older one is needed. */
  rotate(): Promise<DataKeyStatus>;
  /**
   * Reads the root key again from where the configuration says, and wraps the data keys under it. Rejects with AppError
   * `precondition_failed` where the one in use is not among those found.
   */
  reloadRootKey(): Promise<RootKeyChange>;
}
