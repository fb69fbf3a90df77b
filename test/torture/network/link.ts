import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** How messages between one node and its nats-server fare. Control lines of the protocol are not lost. */
export interface LinkState {
  /** Nothing passes in this direction (up: from the node); what comes waits, and passes when it is over. */
  readonly stalled: 'up' | 'down' | 'both' | null;
  /** Shares of the messages that are lost and that come twice. */
  readonly loss: number;
  readonly repeat: number;
  /** Each message takes its own time between these, so they overtake each other. [0, 0]: none. */
  readonly delayMs: readonly [number, number];
}

export const HEALTHY: LinkState = { stalled: null, loss: 0, repeat: 0, delayMs: [0, 0] };

const MAIN = fileURLToPath(new URL('./link-process.ts', import.meta.url));

/** The test's end of a link-process. */
export class Link {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** `on`: puts a command onto the host. Resolves when the link accepts connections. */
  static async open(options: {
    readonly on: (command: readonly string[]) => string[];
    readonly port: number;
    readonly target: { readonly host: string; readonly port: number };
    readonly seed: number;
  }): Promise<Link> {
    const { on, port, target, seed } = options;
    const args = [MAIN, port, target.host, target.port, seed].map(String);
    const [program = '', ...rest] = on([process.execPath, '--import', 'tsx', ...args]);
    const child = spawn(program, rest, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    await answered(child);
    return new Link(child);
  }

  async set(state: LinkState): Promise<void> {
    this.#child.send(state);
    await answered(this.#child);
  }

  /** Ends every connection; new ones are accepted at once. */
  async reset(): Promise<void> {
    this.#child.send('reset');
    await answered(this.#child);
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}

function answered(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const onMessage = (): void => {
      child.off('exit', onExit);
      resolve();
    };
    const onExit = (): void => {
      child.off('message', onMessage);
      reject(new Error('a link process ended'));
    };
    child.once('message', onMessage);
    child.once('exit', onExit);
  });
}
