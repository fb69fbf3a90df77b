/** One server-sent event. A comment has neither data nor id and is an event all the same: a sign of life. */
export interface SseEvent {
  readonly event: string | null;
  readonly id: string | null;
  readonly data: string | null;
}

/** Bytes of a stream of server-sent events to events, whatever way they are cut into pieces. */
export class SseParser {
  readonly #decoder = new TextDecoder();
  #rest = '';
  #event: string | null = null;
  #id: string | null = null;
  #data: string[] = [];
  #hasField = false;

  /** The events that a piece completes. */
  take(piece: Uint8Array): SseEvent[] {
    const lines = (this.#rest + this.#decoder.decode(piece, { stream: true })).split('\n');
    this.#rest = lines.pop() as string;
    const events: SseEvent[] = [];
    for (const line of lines) {
      const text = line.endsWith('\r') ? line.slice(0, -1) : line;
      if (text !== '') this.#field(text);
      else if (this.#hasField) events.push(this.#end());
    }
    return events;
  }

  #field(line: string): void {
    this.#hasField = true;
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1));
    if (name === 'event') this.#event = value;
    else if (name === 'id') this.#id = value;
    else if (name === 'data') this.#data.push(value);
  }

  #end(): SseEvent {
    const data = this.#data.length === 0 ? null : this.#data.join('\n');
    const event = { event: this.#event, id: this.#id, data };
    this.#event = null;
    this.#id = null;
    this.#data = [];
    this.#hasField = false;
    return event;
  }
}
