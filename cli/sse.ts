/** One event of a server-sent event stream. */
export interface SseEvent {
  readonly id: string | null;
  readonly event: string;
  readonly data: string;
}

/**
 * An incremental reader for `text/event-stream` (WHATWG HTML, section 9.2). `push` takes the text as it
 * comes, cut anywhere, and gives the events that are complete.
 */
export class SseReader {
  #rest = '';
  #id: string | null = null;
  #event = '';
  #data: string[] = [];

  push(text: string): SseEvent[] {
    const events: SseEvent[] = [];
    this.#rest += text;
    for (;;) {
      const end = /\r\n|\n|\r(?!$)/.exec(this.#rest);
      if (end === null) return events;
      const line = this.#rest.slice(0, end.index);
      this.#rest = this.#rest.slice(end.index + end[0].length);
      if (line === '') this.#finish(events);
      else this.#field(line);
    }
  }

  #field(line: string): void {
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') this.#data.push(value);
    else if (name === 'event') this.#event = value;
    else if (name === 'id' && !value.includes('\0')) this.#id = value;
  }

  #finish(events: SseEvent[]): void {
    if (this.#data.length > 0) {
      const event = this.#event === '' ? 'message' : this.#event;
      events.push({ id: this.#id, event, data: this.#data.join('\n') });
    }
    this.#event = '';
    this.#data = [];
  }
}
