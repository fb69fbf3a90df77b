import { connect, createServer, type Socket } from 'node:net';
import { seededRandom } from '../../../protocol/random.ts';
import { HEALTHY, type LinkState } from './link.ts';
import { FrameReader } from './nats-frames.ts';

/**
 * The way between a node and its nats-server, as a process on the node's host: `link-process.ts PORT
 * TARGET_HOST TARGET_PORT SEED`. The test sends it LinkStates; each is confirmed by the word 'done'.
 */
const [port = '', targetHost = '', targetPort = '', seed = ''] = process.argv.slice(2);
const random = seededRandom(Number(seed), `link ${port}`);
const pairs = new Set<() => void>();
const flows = new Set<Flow>();
let state: LinkState = HEALTHY;

/** One direction of one connection. */
class Flow {
  readonly #reader = new FrameReader();
  readonly #direction: 'up' | 'down';
  readonly #to: Socket;
  /** What waits while the direction is stalled. */
  #held: Buffer[] = [];

  constructor(direction: 'up' | 'down', to: Socket) {
    this.#direction = direction;
    this.#to = to;
  }

  push(chunk: Buffer): void {
    // What came together leaves together, with one call.
    this.#to.cork();
    for (const { bytes, isMessage } of this.#reader.push(chunk)) {
      if (isMessage) this.#message(bytes);
      else this.#pass(bytes);
    }
    this.#to.uncork();
  }

  release(): void {
    const held = this.#held;
    this.#held = [];
    for (const bytes of held) this.#pass(bytes);
  }

  #message(bytes: Buffer): void {
    if (random.next() < state.loss) return;
    this.#later(bytes);
    if (random.next() < state.repeat) this.#later(bytes);
  }

  #later(bytes: Buffer): void {
    const [low, high] = state.delayMs;
    if (high === 0) return this.#pass(bytes);
    setTimeout(() => this.#pass(bytes), low + random.next() * (high - low));
  }

  #pass(bytes: Buffer): void {
    if (state.stalled === this.#direction || state.stalled === 'both') this.#held.push(bytes);
    else if (!this.#to.destroyed) this.#to.write(bytes);
  }
}

const server = createServer((inner) => {
  const outer = connect(Number(targetPort), targetHost);
  const up = new Flow('up', outer);
  const down = new Flow('down', inner);
  const end = (): void => {
    inner.destroy();
    outer.destroy();
    flows.delete(up);
    flows.delete(down);
    pairs.delete(end);
  };
  flows.add(up).add(down);
  pairs.add(end);
  for (const socket of [inner, outer]) {
    socket.setNoDelay(true);
    socket.on('error', end);
    socket.on('close', end);
  }
  inner.on('data', (chunk) => up.push(chunk));
  outer.on('data', (chunk) => down.push(chunk));
});
server.listen(Number(port), '0.0.0.0', () => process.send?.('done'));

process.on('message', (next: LinkState | 'reset') => {
  if (next === 'reset') for (const end of [...pairs]) end();
  else {
    state = next;
    for (const flow of flows) flow.release();
  }
  process.send?.('done');
});
process.on('disconnect', () => process.exit(0));
