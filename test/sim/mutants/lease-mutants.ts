import { BASE, patch } from './base.ts';
import type { Mutant } from './mutant.ts';

/** Of leases, what is attached to them, and locks (B20). */
export const LEASE_MUTANTS: readonly Mutant[] = [
  {
    ...BASE,
    name: 'leases-shortened',
    what: 'a new leader gives a lease half of its time: who keeps it alive loses it (B20)',
    faults: ['transferLeader'],
    busy: 'leases',
    seedsMax: 10,
    patches: patch(
      'actors/lease/tenure.ts',
      'this.table.add(lease, ttlMs, grantRevision, nowMs);',
      'this.table.add(lease, ttlMs, grantRevision, nowMs - ttlMs / 2);',
    ),
  },
  {
    ...BASE,
    name: 'renewals-unconfirmed',
    what: 'a renewal counts at a leader that another one has replaced (B1, B20)',
    faults: ['isolateLeader', 'partition'],
    busy: 'leases',
    seedsMax: 10,
    patches: patch(
      'actors/lease/keeper.ts',
      'return this.#confirmed(reply, () => this.#check(tenure, body, askedMs, reply));',
      'return this.#check(tenure, body, askedMs, reply);',
    ),
  },
  {
    ...BASE,
    name: 'locks-released-early',
    what: 'what a living lease holds is removed by the leader that takes it over (B20)',
    faults: ['killLeader', 'transferLeader'],
    busy: 'leases',
    patches: patch(
      'actors/lease/tenure.ts',
      'else this.noteEnd({ lease, endRevision, why });',
      'this.noteEnd({ lease, endRevision, why });',
    ),
  },
  {
    ...BASE,
    name: 'leases-outlived',
    what: 'an ended lease is swept only once: what is attached late, under an older promise, stays for ever',
    faults: ['pauseLeader', 'clog', 'pause', 'transferLeader'],
    busy: 'leases',
    seedsMax: 10,
    patches: patch(
      'actors/lease/group-sweep.ts',
      'this.#remove(ripe, close)',
      'this.#remove([], close)',
    ),
  },
  {
    ...BASE,
    name: 'revoke-forgets-prepared',
    what: 'a revoke is complete while a transaction that its client knows as done has yet to attach keys',
    // Now and then a participant does not hear of the commit before it asks.
    weather: { loss: 0.08 },
    faults: ['clog', 'transferLeader'],
    busy: 'leases',
    patches: patch(
      'actors/apply/lease.ts',
      'if (txns.size === 0) return false;',
      'if (txns.size < 1e9) return false;',
    ),
  },
  {
    ...BASE,
    name: 'transactions-outlive-leases',
    seconds: 60,
    what: 'a transaction attaches keys to a lease whose promise has run out: they may stay for ever',
    faults: ['pauseLeader', 'clockDrift', 'clockJump', 'transferLeader'],
    busy: 'leases',
    seedsMax: 10,
    patches: patch(
      'protocol/attachment.ts',
      'if (isPromiseOver(op, revision)) stale = revision;',
      '',
    ),
  },
  {
    ...BASE,
    name: 'leases-of-everybody',
    what: 'a lease is kept alive and ended by whoever names it, of whichever tenant',
    faults: ['transferLeader'],
    busy: 'leases',
    seedsMax: 10,
    patches: patch(
      'actors/lease/keeper.ts',
      'return row?.tenant === tenant ? row : null;',
      'return row;',
    ),
  },
  {
    ...BASE,
    name: 'last-come-first-served',
    what: 'who came last gets the lock first: a waiter is passed over',
    faults: ['killLeader', 'pauseLeader'],
    busy: 'leases',
    seedsMax: 10,
    patches: patch(
      'gateways/kv/lock-queue.ts',
      'return a.createRevision - b.createRevision;',
      'return b.createRevision - a.createRevision;',
    ),
  },
];
