/** A small SVG writer: shapes in order, text escaped, numbers short. */

export interface TextStyle {
  readonly size?: number;
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly fill?: string;
  readonly bold?: boolean;
  /** Degrees, about the point of the text. */
  readonly turn?: number;
}

const INK = '#1f2328';
const FONT = 'system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif';

export class Svg {
  readonly #width: number;
  readonly #height: number;
  readonly #title: string;
  readonly #shapes: string[] = [];

  /** `title` is what a reader without eyes is told. */
  constructor(width: number, height: number, title: string) {
    this.#width = width;
    this.#height = height;
    this.#title = title;
  }

  rect(x: number, y: number, width: number, height: number, fill: string, title?: string): this {
    const box = `x="${short(x)}" y="${short(y)}" width="${short(width)}" height="${short(height)}"`;
    return this.#shape('rect', `${box} fill="${fill}"`, title);
  }

  line(x1: number, y1: number, x2: number, y2: number, stroke: string, width = 1): this {
    const ends = `x1="${short(x1)}" y1="${short(y1)}" x2="${short(x2)}" y2="${short(y2)}"`;
    return this.#shape('line', `${ends} stroke="${stroke}" stroke-width="${short(width)}"`);
  }

  circle(x: number, y: number, radius: number, fill: string, title?: string): this {
    const where = `cx="${short(x)}" cy="${short(y)}" r="${short(radius)}"`;
    return this.#shape('circle', `${where} fill="${fill}" fill-opacity="0.7"`, title);
  }

  text(x: number, y: number, text: string, style: TextStyle = {}): this {
    const { size = 12, anchor = 'start', fill = INK, bold = false, turn } = style;
    const about = `${short(x)} ${short(y)}`;
    const attributes = [
      `x="${short(x)}" y="${short(y)}" font-size="${size}" text-anchor="${anchor}" fill="${fill}"`,
      bold ? ' font-weight="600"' : '',
      turn === undefined ? '' : ` transform="rotate(${turn} ${about})"`,
    ];
    this.#shapes.push(`<text ${attributes.join('')}>${escapeXml(text)}</text>`);
    return this;
  }

  toString(): string {
    const size = `width="${this.#width}" height="${this.#height}"`;
    const head = `<svg xmlns="http://www.w3.org/2000/svg" ${size} viewBox="0 0 ${this.#width} ${this.#height}" font-family="${FONT}" role="img">`;
    const title = `<title>${escapeXml(this.#title)}</title>`;
    const paper = `<rect width="${this.#width}" height="${this.#height}" fill="#ffffff"/>`;
    return `${[head, title, paper, ...this.#shapes, '</svg>'].join('\n')}\n`;
  }

  #shape(name: string, attributes: string, title?: string): this {
    const inside = title === undefined ? '' : `<title>${escapeXml(title)}</title>`;
    const end = inside === '' ? '/>' : `>${inside}</${name}>`;
    this.#shapes.push(`<${name} ${attributes}${end}`);
    return this;
  }
}

export function escapeXml(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replace(/[&<>"]/g, (found) => names[found] as string);
}

/** At most two decimals. Throws on what SVG cannot show. */
export function short(value: number): string {
  if (!Number.isFinite(value)) throw new Error(`not a place in a drawing: ${value}`);
  return String(Math.round(value * 100) / 100);
}
