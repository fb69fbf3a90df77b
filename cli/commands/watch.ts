import { watchEvents } from '../watch-stream.ts';
import { type Context, countOf, keyText, printJson, valueText } from './context.ts';

export interface WatchFlags {
  readonly from?: string;
  readonly initial?: boolean;
  readonly prev?: boolean;
  readonly count?: string;
}

interface WatchEvent {
  readonly type: string;
  readonly key?: string;
  readonly keyBase64?: string;
  readonly value?: string;
  readonly base64?: string;
  readonly revision?: number;
}

/** What ends up in front of the user; `progress` only keeps the connection and the token fresh. */
const CHANGES = new Set(['put', 'delete', 'expire']);

/** `minikv watch [prefix]`: changes as they happen, until Ctrl-C or `--count` of them. */
export async function watch(
  { io, client, json }: Context,
  prefix: string,
  flags: WatchFlags,
): Promise<void> {
  let left =
    flags.count === undefined
      ? Number.POSITIVE_INFINITY
      : countOf(flags.count, '--count', 1, Number.MAX_SAFE_INTEGER);
  const request = {
    ...{ prefix, from: flags.from, initial: flags.initial === true, prev: flags.prev === true },
  };
  for await (const { event, data, id } of watchEvents(io, client, request)) {
    if (!CHANGES.has(event) && event !== 'synced') continue;
    const change = JSON.parse(data) as WatchEvent;
    if (json) await printJson(io, { ...change, type: event, token: id });
    else await io.out(lineOf(event, change));
    if (CHANGES.has(event)) left -= 1;
    if (left <= 0) return;
  }
}

function lineOf(event: string, change: WatchEvent): string {
  if (event === 'synced') return `-- every current key was shown; changes follow\n`;
  const value = event === 'put' ? `\t${valueText(change)}` : '';
  return `${event.padEnd(6)} ${change.revision ?? ''}\t${keyText(change)}${value}\n`;
}
