import { type ClientRequest, request } from 'node:http';

/** A server-sent event: its type, its id where it has one, its data. */
export interface StreamEvent {
  readonly type: string;
  readonly id: string | null;
  readonly body: Record<string, unknown>;
}

export interface StreamHandlers {
  onOpen(): void;
  onEvent(event: StreamEvent): void;
  /** Once, however it ends. `status`: of an answer that was no stream. */
  onEnd(status: number | null): void;
}

/** Nothing at all for so long: the node is gone, or stopped. It marks its progress every 5 s. */
const SILENT_MS = 8_000;

/** One SSE connection to `/v1/watch`. */
export class Stream {
  readonly #handlers: StreamHandlers;
  readonly #call: ClientRequest;
  #timer: NodeJS.Timeout;
  #text = '';
  #ended = false;

  constructor(url: string, lastId: string | null, handlers: StreamHandlers) {
    this.#handlers = handlers;
    const headers: Record<string, string> = { accept: 'text/event-stream' };
    if (lastId !== null) headers['last-event-id'] = lastId;
    this.#timer = setTimeout(() => this.#end(null), SILENT_MS);
    this.#call = request(url, { headers, agent: false }, (answer) => {
      if (answer.statusCode !== 200) {
        answer.resume();
        this.#end(answer.statusCode ?? null);
        return;
      }
      handlers.onOpen();
      answer.setEncoding('utf8');
      answer.on('data', (text: string) => this.#onText(text));
      answer.on('error', () => this.#end(null));
      answer.on('close', () => this.#end(null));
    });
    this.#call.on('error', () => this.#end(null));
    this.#call.end();
  }

  close(): void {
    this.#end(null);
  }

  #end(status: number | null): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#call.destroy();
    this.#handlers.onEnd(status);
  }

  #onText(text: string): void {
    this.#timer.refresh();
    this.#text += text;
    let from = 0;
    for (;;) {
      const end = this.#text.indexOf('\n\n', from);
      if (end < 0 || this.#ended) break;
      this.#onBlock(this.#text.slice(from, end));
      from = end + 2;
    }
    this.#text = this.#text.slice(from);
  }

  #onBlock(block: string): void {
    let type = '';
    let id: string | null = null;
    let body = '';
    for (const line of block.split('\n')) {
      if (line.startsWith('event: ')) type = line.slice(7);
      else if (line.startsWith('id: ')) id = line.slice(4);
      else if (line.startsWith('data: ')) body += line.slice(6);
    }
    if (type === '') return;
    this.#handlers.onEvent({ type, id, body: JSON.parse(body) as Record<string, unknown> });
  }
}
