import type { Condition, OpResult, WriteOp } from '../../protocol/commands.ts';
import type { Item } from '../../protocol/messages/request.ts';
import type { KvService, RequestContext, ScanOptions, ScanPage } from '../../protocol/service.ts';
import type { KeyRef } from '../../protocol/vshard.ts';

/** A KvService over a Map, for tests of edges: right about revisions and conditions, nothing else. */
export class MapStore {
  readonly contexts: RequestContext[] = [];
  readonly #items = new Map<string, Item>();
  #clock = 1000;

  /** The part of KvService that request edges use. */
  service(): KvService {
    const unused = (): never => {
      throw new Error('not part of this store');
    };
    return {
      put: async (context, op) => this.#written(context, op),
      delete: async (context, ref, condition) =>
        this.#written(context, { type: 'delete', ref, condition }),
      get: async (context, ref) => {
        this.contexts.push(context);
        return { item: this.#items.get(ref.key) ?? null, clock: this.#clock };
      },
      batch: async (context, ops) => {
        this.contexts.push(context);
        const results = ops.map((op) =>
          op.kind === 'get'
            ? { kind: 'get' as const, item: this.#items.get(op.ref.key) ?? null }
            : { kind: 'write' as const, result: this.#write(op.op) },
        );
        return { results, clock: this.#clock };
      },
      scan: async (_context, options) => this.#scan(options),
      status: () => ({
        ...{ nodeId: 'n1' as never, clusterId: 'c', cluster: 'e2e', version: '0', ready: true },
        ...{ durability: 'memory', bus: 'connected', mapEpoch: 1, groups: [], nodes: [] },
        ...{ uptimeMs: 1, clock: this.#clock },
      }),
      watch: unused,
      transferLeader: unused,
      members: unused,
    };
  }

  async #written(context: RequestContext, op: WriteOp) {
    this.contexts.push(context);
    return { result: this.#write(op), clock: this.#clock, repeated: false };
  }

  #write(op: WriteOp): OpResult {
    const old = this.#items.get(op.ref.key);
    const current = old?.revision ?? 0;
    if (!holds(op.condition, current)) return { type: 'precondition_failed', revision: current };
    if (op.type === 'delete') {
      this.#items.delete(op.ref.key);
      return { type: 'deleted', deleted: current > 0, revision: current > 0 ? ++this.#clock : 0 };
    }
    const revision = ++this.#clock;
    const version = (old?.version ?? 0) + 1;
    const createRevision = old?.createRevision ?? revision;
    const { ref, value, contentType } = op;
    const item = { ref, value: value.slice(), revision, createRevision, version, contentType };
    this.#items.set(ref.key, { ...item, expiresAtMs: null });
    return { type: 'put', revision, createRevision, version };
  }

  #scan(options: ScanOptions): ScanPage {
    const inRange = (ref: KeyRef): boolean =>
      ref.key >= options.start && (options.end === null || ref.key < options.end);
    const all = [...this.#items.values()].filter((item) => inRange(item.ref));
    all.sort((a, b) => (a.ref.key < b.ref.key ? -1 : 1));
    if (options.reverse) all.reverse();
    const items = all.slice(0, options.limit);
    const last = items[items.length - 1]?.ref.key ?? '';
    const next = all.length <= items.length ? null : options.reverse ? last : `${last}\0`;
    return { items, revision: this.#clock, next };
  }
}

function holds(condition: Condition | null, current: number): boolean {
  if (condition === null) return true;
  if (condition.type === 'revision') return condition.revision === current;
  return current > 0 === (condition.type === 'exists');
}
