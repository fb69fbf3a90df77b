import { sleep } from './wait.ts';

/** One event as the stream gave it. */
export interface SseEvent {
  readonly type: string;
  readonly id: string | null;
  readonly data: Record<string, unknown>;
}

/**
 * Watches over SSE, coming back with Last-Event-ID whenever the connection ends, to the next of the
 * given URLs. Records every event in the order of arrival.
 */
export class SseReader {
  readonly events: SseEvent[] = [];
  readonly #urls: readonly string[];
  readonly #query: string;
  #lastId: string | null = null;
  #stop = new AbortController();
  #connection: AbortController | null = null;
  connections = 0;
  #opened: (() => void) | null = null;
  /** Resolves when the first connection stands. */
  readonly opened = new Promise<void>((resolve) => {
    this.#opened = resolve;
  });

  constructor(urls: readonly string[], query: string) {
    this.#urls = urls;
    this.#query = query;
    void this.#run();
  }

  puts(): SseEvent[] {
    return this.events.filter(({ type }) => type === 'put');
  }

  /** Breaks the connection; the reader comes back with its last id. */
  disconnect(): void {
    this.#connection?.abort();
  }

  close(): void {
    this.#stop.abort();
    this.#connection?.abort();
  }

  async #run(): Promise<void> {
    for (let turn = 0; !this.#stop.signal.aborted; turn++) {
      const url = this.#urls[turn % this.#urls.length] as string;
      this.#connection = new AbortController();
      try {
        await this.#read(`${url}/v1/watch?${this.#query}`, this.#connection.signal);
      } catch {
        await sleep(100);
      }
    }
  }

  async #read(url: string, signal: AbortSignal): Promise<void> {
    const headers: Record<string, string> = { accept: 'text/event-stream' };
    if (this.#lastId !== null) headers['last-event-id'] = this.#lastId;
    const answer = await fetch(url, { headers, signal });
    if (answer.status !== 200 || answer.body === null) {
      throw new Error(`watch answered ${answer.status}: ${await answer.text()}`);
    }
    this.connections++;
    this.#opened?.();
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of answer.body) {
      text += decoder.decode(chunk as Uint8Array, { stream: true });
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        this.#take(text.slice(0, end));
        text = text.slice(end + 2);
      }
    }
  }

  #take(block: string): void {
    let type = '';
    let id: string | null = null;
    let data = '';
    for (const line of block.split('\n')) {
      if (line.startsWith('event: ')) type = line.slice(7);
      else if (line.startsWith('id: ')) id = line.slice(4);
      else if (line.startsWith('data: ')) data += line.slice(6);
    }
    if (type === '') return;
    if (id !== null) this.#lastId = id;
    this.events.push({ type, id, data: JSON.parse(data) as Record<string, unknown> });
  }
}
