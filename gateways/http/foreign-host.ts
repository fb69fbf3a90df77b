import { isIP } from 'node:net';

const LOOPBACK = /^(?:::ffff:)?127\.|^::1$/;

/**
 * Whether a page of another site may have led a browser to this machine under that site's own name (DNS rebinding, FAULTS I36):
 * the connection came in on loopback, and its Host is a name that somebody else could have. Nobody else has addresses, names
 * without a dot, `localhost` and what is under it, and `names` (lower case) with what is under them.
 */
export function isForeignHost(
  host: string,
  localAddress: string,
  names: readonly string[],
): boolean {
  if (!LOOPBACK.test(localAddress)) return false;
  const name = host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
  if (!name.includes('.') || isIP(name) !== 0 || name.startsWith('[')) return false;
  return ![...names, 'localhost'].some((own) => name === own || name.endsWith(`.${own}`));
}
