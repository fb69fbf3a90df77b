/** The scope of whoever shows no credentials: an address of IPv4, or a network of IPv6, since one machine has all of a /64. */
export function addressScope(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return `address:${mapped}`;
  if (!address.includes(':')) return `address:${address}`;
  const [plain = ''] = address.toLowerCase().split('%');
  const [head = '', tail] = plain.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const ends = tail === '' ? [] : tail.split(':');
    while (groups.length + ends.length < 8) groups.push('0');
    groups.push(...ends);
  }
  const network = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `address:${network.join(':')}::`;
}
