import { connect, type Socket } from 'node:net';

/** A request whole, with JSON or nothing as its body. `more` are lines of the head, each with its end. */
export function request(method: string, path: string, body: string, more = ''): string {
  const head = `${method} ${path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n${more}`;
  return `${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** One connection, one request at a time. */
export class Connection {
  readonly #socket: Socket;
  #rest: Buffer = Buffer.alloc(0);
  #settle: ((answer: { status: number; body: string }) => void) | null = null;

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1');
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (bytes: Buffer) => this.#take(bytes));
  }

  ask(request: string): Promise<{ status: number; body: string }> {
    return new Promise((resolve) => {
      this.#settle = resolve;
      this.#socket.write(request, 'latin1');
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const end = this.#rest.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = this.#rest.toString('latin1', 0, end);
    const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    if (this.#rest.length < end + 4 + length) return;
    const body = this.#rest.toString('utf8', end + 4, end + 4 + length);
    this.#rest = this.#rest.subarray(end + 4 + length);
    const settle = this.#settle;
    this.#settle = null;
    settle?.({ status: Number(head.slice(9, 12)), body });
  }
}
