import type { BodyStream } from '../http/body-stream.ts';
import { s3Error } from './errors.ts';

/** Bytes of all that comes before the file, as in S3. */
const FIELDS_BYTES_MAX = 20 * 1024;

export interface FormHead {
  /** By lower-case name, in order; the first of a name counts. */
  readonly fields: ReadonlyMap<string, string>;
  /** Of the file, without folders; empty where the client does not say. */
  readonly fileName: string;
  readonly fileType: string | null;
}

/** The boundary in a Content-Type. Throws MalformedPOSTRequest. */
export function boundaryOf(contentType: string): string {
  const match = /;[ \t]*boundary=(?:"([^"]{1,70})"|([^\s";,]{1,70}))/i.exec(contentType);
  const boundary = match?.[1] ?? match?.[2] ?? '';
  if (boundary === '') throw s3Error('MalformedPOSTRequest');
  return boundary;
}

/**
 * A multipart/form-data body (RFC 7578) as it comes: fields first, then the file as a stream. What is behind the
 * file is left. Throws MalformedPOSTRequest, MaxPostPreDataLengthExceededError.
 */
export class FormReader {
  readonly #stream: BodyStream;
  readonly #delimiter: Buffer;
  /** As if a line had ended before the first delimiter. */
  #held: Buffer = Buffer.from('\r\n');
  #taken = 0;

  constructor(stream: BodyStream, boundary: string) {
    this.#stream = stream;
    this.#delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  }

  /** Reads up to the first byte of the file. Throws InvalidArgument where there is none. */
  async head(): Promise<FormHead> {
    const fields = new Map<string, string>();
    await this.#until(this.#delimiter);
    for (;;) {
      if ((await this.#line()).startsWith('--')) {
        throw s3Error('InvalidArgument', 'POST requires exactly one file upload per request.', {
          ...{ ArgumentName: 'file', ArgumentValue: '0' },
        });
      }
      const part = partOf((await this.#until(END_OF_HEADERS)).toString('utf8'));
      if (part.name === 'file') {
        const fileName = part.fileName.replace(/^.*[\\/]/, '');
        return { fields, fileName, fileType: part.type };
      }
      const value = (await this.#until(this.#delimiter)).toString('utf8');
      if (!fields.has(part.name)) fields.set(part.name, value);
    }
  }

  /** The file, after `head`. Throws MalformedPOSTRequest where its end does not come. */
  async *file(): AsyncGenerator<Buffer> {
    for (;;) {
      const at = this.#held.indexOf(this.#delimiter);
      if (at >= 0) {
        if (at > 0) yield this.#held.subarray(0, at);
        return;
      }
      // The delimiter may be cut in two.
      const sure = this.#held.length - this.#delimiter.length + 1;
      if (sure > 0) {
        yield this.#held.subarray(0, sure);
        this.#held = this.#held.subarray(sure);
      }
      await this.#more();
    }
  }

  /** What is behind a delimiter on its line; only blanks are allowed there, or the two dashes of the end. */
  async #line(): Promise<string> {
    const rest = (await this.#until(END_OF_LINE, true)).toString('latin1');
    if (/^(?:--)?[ \t]*$/.test(rest)) return rest;
    throw s3Error('MalformedPOSTRequest');
  }

  async #until(marker: Buffer, isOptional = false): Promise<Buffer> {
    let from = 0;
    for (;;) {
      const at = this.#held.indexOf(marker, from);
      if (at >= 0) {
        const found = this.#held.subarray(0, at);
        this.#held = this.#held.subarray(at + marker.length);
        this.#taken += at + marker.length;
        if (this.#taken > FIELDS_BYTES_MAX) throw s3Error('MaxPostPreDataLengthExceededError');
        return found;
      }
      // The last delimiter may be the last bytes of all.
      if (isOptional && this.#held.toString('latin1') === '--') return this.#held;
      if (this.#taken + this.#held.length > FIELDS_BYTES_MAX) {
        throw s3Error('MaxPostPreDataLengthExceededError');
      }
      from = Math.max(0, this.#held.length - marker.length + 1);
      await this.#more();
    }
  }

  async #more(): Promise<void> {
    const bytes = await this.#stream.next();
    if (bytes === null) throw s3Error('MalformedPOSTRequest');
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
  }
}

const END_OF_HEADERS = Buffer.from('\r\n\r\n');
const END_OF_LINE = Buffer.from('\r\n');

interface Part {
  /** Lower case. */
  readonly name: string;
  readonly fileName: string;
  readonly type: string | null;
}

function partOf(headers: string): Part {
  let disposition = '';
  let type: string | null = null;
  for (const line of headers.split('\r\n')) {
    const colon = line.indexOf(':');
    const header = line.slice(0, Math.max(0, colon)).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (header === 'content-disposition') disposition = value;
    if (header === 'content-type') type = value;
  }
  const name = parameterOf(disposition, 'name');
  if (!/^form-data[ \t]*;/i.test(disposition) || name === null) {
    throw s3Error('MalformedPOSTRequest');
  }
  const fileName = parameterOf(disposition, 'filename') ?? '';
  return { name: name.toLowerCase(), fileName, type };
}

/** `name="a\"b"` or `name=a`. */
function parameterOf(disposition: string, name: string): string | null {
  const match = new RegExp(`;[ \\t]*${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s";]*))`, 'i').exec(
    disposition,
  );
  if (match === null) return null;
  return match[1]?.replace(/\\(["\\])/g, '$1') ?? match[2] ?? '';
}
