/**
 * The head of a request of HTTP/2 (RFC 9113, section 8.3) as HTTP/1.1 has it. What HTTP/1.1 could read in another way than it
 * was meant is refused here: bytes that end lines or words, and headers that say where a message ends.
 */
export interface Http1Head {
  readonly text: string;
  readonly method: string;
  /** The body is sent in chunks: nobody said how long it is. */
  readonly isChunked: boolean;
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** RFC 9110, section 5.5: visible characters, spaces and tabs; bytes above ASCII as they are. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** The target of a request is one word. */
const WORD = /^[\x21-\x7e\x80-\xff]+$/;
/** RFC 9113, section 8.2.2: they are about a connection, and no stream has one of its own. */
export const OF_CONNECTIONS: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'],
]);

/** `raw`: names and values in turns. `hasBody`: DATA may follow. Null: the request is malformed. */
export function http1Head(raw: readonly string[], hasBody: boolean): Http1Head | null {
  const pseudo = new Map<string, string>();
  let lines = '';
  let hasLength = false;
  let host: string | null = null;
  for (let i = 0; i < raw.length; i += 2) {
    const [name = '', value = ''] = [raw[i], raw[i + 1]];
    if (!VALUE.test(value)) return null;
    if (name.startsWith(':')) {
      if (pseudo.has(name)) return null;
      pseudo.set(name, value);
      continue;
    }
    if (!TOKEN.test(name) || OF_CONNECTIONS.has(name.toLowerCase())) return null;
    if (name === 'content-length') hasLength = true;
    // Said twice alike it is said once; what differs goes on, to be refused as two names.
    if (name === 'host' && host === null && value === authorityOf(raw)) {
      host = value;
      continue;
    }
    lines += `${name}: ${value}\r\n`;
  }
  const [method = '', authority] = [pseudo.get(':method'), pseudo.get(':authority')];
  const target = method === 'CONNECT' ? authority : pseudo.get(':path');
  if (!TOKEN.test(method) || target === undefined || !WORD.test(target)) return null;
  if (authority !== undefined) lines = `host: ${authority}\r\n${lines}`;
  const isChunked = hasBody && !hasLength;
  if (isChunked) lines += 'transfer-encoding: chunked\r\n';
  return { text: `${method} ${target} HTTP/1.1\r\n${lines}\r\n`, method, isChunked };
}

function authorityOf(raw: readonly string[]): string | null {
  for (let i = 0; i < raw.length; i += 2) if (raw[i] === ':authority') return raw[i + 1] ?? '';
  return null;
}
