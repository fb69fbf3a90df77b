import type { Envelope } from '../protocol/envelope.ts';
import { nodeOf, type ReplicaId } from '../protocol/types.ts';
import type { Hello } from './formation.ts';
import type { Ports } from './kit/ports.ts';

/** Hellos of a living process: at least so many, over at least this time. */
const PROOF_HELLOS = 3;
const PROOF_MS = 1_500;
/** Whoever is heard this soon after this node began to listen was there before: hellos come each second. */
const OLDER_WITHIN_MS = 1_500;
/** A younger process stops by itself long before this. */
const STOPS_WITHIN_MS = 10_000;
/** Silent for longer, it has to prove itself anew. */
const FORGET_MS = 5_000;
const LOG_EVERY_MS = 10_000;

interface Namesake {
  readonly firstMs: number;
  lastMs: number;
  hellos: number;
}

/** What this process knows of itself. */
export interface OwnLife {
  readonly self: ReplicaId;
  readonly life: number;
  readonly httpUrl: string;
  /** It votes in some group. */
  readonly isVoter: boolean;
}

/**
 * Other living processes under this node's name: the same --node-id twice, or a copy of a data folder
 * beside its original. The younger one stops; when both are older than their meeting (two sides of a cut),
 * whoever has no vote stops, and both when they are of one incarnation, since they share one vote.
 */
export class Namesakes {
  readonly #ports: Ports;
  #listensSinceMs: number;
  readonly #startedWallMs: number;
  readonly #known = new Map<string, Namesake>();
  #loggedMs = Number.NEGATIVE_INFINITY;

  constructor(ports: Ports) {
    this.#ports = ports;
    this.#listensSinceMs = ports.clock.monotonicMs();
    this.#startedWallMs = ports.clock.wallMs();
  }

  /** From now on hellos can be heard. */
  listening(): void {
    this.#listensSinceMs = this.#ports.clock.monotonicMs();
  }

  /** A hello under this node's name, perhaps its own. */
  heard({ from, life, wallMs }: Envelope, hello: Hello, own: OwnLife): void {
    if (from === own.self && life === own.life) return;
    // The last words of an earlier life come late.
    if (wallMs <= this.#startedWallMs) return;
    const nowMs = this.#ports.clock.monotonicMs();
    const namesake = this.#note(`${from}/${life}`, nowMs);
    const knownMs = nowMs - namesake.firstMs;
    if (namesake.hellos < PROOF_HELLOS || knownMs < PROOF_MS) return;
    const isOlder = namesake.firstMs - this.#listensSinceMs <= OLDER_WITHIN_MS;
    const mustPart = knownMs > STOPS_WITHIN_MS && (from === own.self || !own.isVoter);
    const reason = describe(from, hello, own);
    if (isOlder || mustPart) this.#ports.fatal(`${reason}; this process ends`, undefined);
    else this.#complain(reason, {});
  }

  /** Two incarnations of another node live at once. */
  between(incarnation: ReplicaId, other: ReplicaId): void {
    const fields = { peer: nodeOf(incarnation), incarnation, other };
    this.#complain('two processes run under the name of one node', fields);
  }

  #complain(message: string, fields: Readonly<Record<string, unknown>>): void {
    const nowMs = this.#ports.clock.monotonicMs();
    if (nowMs - this.#loggedMs < LOG_EVERY_MS) return;
    this.#loggedMs = nowMs;
    this.#ports.telemetry.log('error', message, fields);
  }

  #note(key: string, nowMs: number): Namesake {
    for (const [other, { lastMs }] of this.#known) {
      if (nowMs - lastMs > FORGET_MS) this.#known.delete(other);
    }
    const known = this.#known.get(key) ?? { firstMs: nowMs, lastMs: nowMs, hellos: 0 };
    known.lastMs = nowMs;
    known.hellos++;
    this.#known.set(key, known);
    return known;
  }
}

function describe(from: ReplicaId, hello: Hello, own: OwnLife): string {
  const node = nodeOf(from);
  const both = `another process at ${hello.httpUrl} runs as node ${node}, too`;
  if (from === own.self) {
    return (
      `${both}, with a copy of this data folder (incarnation ${from}): ` +
      'stop one of them and never start it again; a further node needs an empty folder and its own --node-id'
    );
  }
  return (
    `${both}: its incarnation is ${from}, that of this process at ${own.httpUrl} is ${own.self}. ` +
    'Stop one of them, or give it its own --node-id'
  );
}
