import type { Edge } from '../http/app.ts';
import { DirectAnswers } from '../http/direct.ts';
import { bodyLength, type EdgeRequest, type EdgeResponse, type OnSent } from '../http/exchange.ts';
import type { Direct } from '../http/listener.ts';
import { DirectKeys } from './direct-keys.ts';
import { DirectTxn } from './direct-txn.ts';

/** The requests that skip the framework: of one key, and transactions. */
export class DirectRoutes implements Direct {
  readonly #edge: Edge;
  readonly #keys: DirectKeys;
  readonly #txn: DirectTxn;

  constructor(edge: Edge) {
    this.#edge = edge;
    const answers = new DirectAnswers(edge);
    this.#keys = new DirectKeys(edge, answers);
    this.#txn = new DirectTxn(edge, answers);
  }

  takes(req: EdgeRequest, res: EdgeResponse): boolean {
    return req.method === 'POST' ? this.#txn.takes(req, res) : this.#keys.takes(req, res);
  }

  /** Gives back what `takes` took: the request goes another way. */
  leave(req: EdgeRequest): void {
    this.#edge.bodies.give(bodyLength(req));
  }

  run(req: EdgeRequest, res: EdgeResponse, sent: OnSent): void {
    if (req.method === 'POST') this.#txn.run(req, res, sent);
    else this.#keys.run(req, res, sent);
  }
}
