import type { Pick } from './target.ts';

/**
 * Valid values of a codec of protocol/schema.ts, as what `pack` gives, drawn from its `shape`: the text names all that
 * travels, so a message that is added tomorrow is fuzzed tomorrow.
 */
type Draw = (pick: Pick) => unknown;

/** Shapes of codecs that are written by hand. */
export interface CustomShapes {
  readonly [shape: string]: Draw;
}

export function drawOfShape(shape: string, custom: CustomShapes): Draw {
  const parser = new ShapeParser(shape, custom);
  const draw = parser.value();
  if (!parser.isAtEnd) throw new Error(`a shape goes on with ${parser.rest}`);
  return draw;
}

const INTEGERS = [0, 1, 2, 127, 128, 255, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1];
const TEXTS = ['', 'a', 'n1', 'n1:1', 'default', 'kv', 'ü', '\u{1f600}', '\0', 'x'.repeat(40)];

class ShapeParser {
  readonly #text: string;
  readonly #custom: CustomShapes;
  #at = 0;

  constructor(text: string, custom: CustomShapes) {
    this.#text = text;
    this.#custom = custom;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#text.length;
  }

  get rest(): string {
    return this.#text.slice(this.#at, this.#at + 40);
  }

  value(): Draw {
    const draw = this.#plain();
    if (!this.#takes('?')) return draw;
    return (pick) => (pick.chance(0.4) ? null : draw(pick));
  }

  #plain(): Draw {
    if (this.#takes('union(')) return this.#union();
    if (this.#takes('{')) return this.#record();
    if (this.#takes('[')) return this.#list();
    if (this.#takes('oneOf(')) {
      const count = this.#match(/[^)]*/y).split('|').length;
      this.#expect(')');
      return (pick) => pick.below(count);
    }
    const word = this.#match(/[A-Za-z0-9]+(?::\d+)?/y);
    const custom = this.#custom[word];
    if (custom !== undefined) return custom;
    const [, kind, max = ''] = /^(count|float|bool|str|latin1:|bin)(\d*)$/.exec(word) ?? [];
    if (kind === undefined) throw new Error(`no such shape: ${word}`);
    return scalar(kind, Number(max));
  }

  #union(): Draw {
    const rows: (readonly [tag: number, draw: Draw])[] = [];
    do {
      const tag = Number(this.#match(/\d+(?==)/y));
      this.#match(/=\w+/y);
      rows.push([tag, this.#plain()]);
    } while (this.#takes(';'));
    this.#expect(')');
    return (pick) => {
      const [tag, draw] = pick.one(rows);
      return [tag, draw(pick)];
    };
  }

  #record(): Draw {
    const fields: Draw[] = [];
    while (!this.#takes('}')) {
      this.#match(/\w+:/y);
      fields.push(this.value());
      this.#takes(',');
    }
    return (pick) => fields.map((field) => field(pick));
  }

  #list(): Draw {
    const item = this.value();
    this.#expect(']');
    const max = Number(this.#match(/\d+/y));
    return (pick) => {
      const length = Math.min(max, pick.below(4));
      return Array.from({ length }, () => item(pick));
    };
  }

  #takes(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #expect(text: string): void {
    if (!this.#takes(text)) throw new Error(`${text} is missing in a shape, at ${this.rest}`);
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) throw new Error(`${pattern} is missing in a shape, at ${this.rest}`);
    this.#at += found.length;
    return found;
  }
}

function scalar(kind: string, max: number): Draw {
  switch (kind) {
    case 'count':
      return (pick) => (pick.chance(0.5) ? pick.below(1000) : pick.one(INTEGERS));
    case 'float':
      return (pick) => pick.one([0.5, -1.5, 0, 1e300, ...INTEGERS]);
    case 'bool':
      return (pick) => pick.chance(0.5);
    case 'str':
      return (pick) => pick.one(TEXTS).slice(0, max);
    default:
      return (pick) => pick.bytes(Math.min(max, pick.one([0, 1, 10, 16, 32, 60])));
  }
}
