/** Debian's package records as JSON documents, for indexes over them. */
export interface DebianPackage {
  readonly package: string;
  readonly section: string;
  readonly maintainer: string;
  /** KiB. */
  readonly installedSize: number;
  readonly depends: readonly string[];
}

const PREFIX = 'pkg/';

/** One for each record of a deb822 text, by key. */
export function debianPackages(text: string): Map<string, DebianPackage> {
  const out = new Map<string, DebianPackage>();
  for (const record of text.split(/\n[\n \t]*\n/)) {
    const field = (name: string): string =>
      new RegExp(`^${name}: *(.*(?:\\n[ \\t].*)*)`, 'm').exec(record)?.[1]?.trim() ?? '';
    const name = field('Package');
    if (name === '') continue;
    const depends = field('Depends')
      .split(/[,|]/)
      .map((one) => one.trim().split(/[ (:\n]/)[0] as string)
      .filter((one) => one !== '');
    out.set(PREFIX + name, {
      package: name,
      section: field('Section'),
      maintainer: field('Maintainer'),
      installedSize: Number(field('Installed-Size') || '0'),
      depends: [...new Set(depends)],
    });
  }
  return out;
}

export interface PackageIndex {
  readonly name: string;
  readonly fields: readonly { readonly path: string; readonly type: 'string' | 'number' }[];
}

const SIZE = { path: '/installedSize', type: 'number' } as const;

export const PACKAGE_INDEXES: readonly PackageIndex[] = [
  { name: 'by-section', fields: [{ path: '/section', type: 'string' }] },
  { name: 'by-maintainer', fields: [{ path: '/maintainer', type: 'string' }] },
  { name: 'by-size', fields: [SIZE] },
  { name: 'by-dependency', fields: [{ path: '/depends', type: 'string' }, SIZE] },
];

export interface PackageItem {
  readonly key: string;
  readonly value: string;
}

/** Every record at one revision, by a full scan. */
export async function scanPackages(
  url: string,
  revision: number,
): Promise<Map<string, DebianPackage>> {
  const answer = await fetch(`${url}/v1/kv?prefix=${PREFIX}&revision=${revision}`, {
    headers: { accept: 'application/x-ndjson' },
  });
  const lines = (await answer.text()).trimEnd().split('\n');
  const end = JSON.parse(lines.pop() ?? 'null') as { end?: boolean } | null;
  if (answer.status !== 200 || end?.end !== true) throw new Error(`scan: ${answer.status}`);
  const items = lines.map((line) => JSON.parse(line) as PackageItem);
  return new Map(items.map(({ key, value }) => [key, JSON.parse(value) as DebianPackage]));
}

/** Keys that an index gives, all pages at one revision. */
export async function queryPackages(
  url: string,
  index: string,
  query: string,
): Promise<{ keys: string[]; revision: number }> {
  const keys: string[] = [];
  let revision = 0;
  let cursor = '';
  do {
    const from = cursor === '' ? '' : `&cursor=${cursor}`;
    const answer = await fetch(`${url}/v1/indexes/${index}/query?${query}&limit=40${from}`);
    const page = (await answer.json()) as {
      items?: PackageItem[];
      revision: number;
      cursor?: string;
    };
    if (answer.status !== 200 || page.items === undefined) {
      throw new Error(`${index} ${query}: ${answer.status} ${JSON.stringify(page)}`);
    }
    for (const { key } of page.items) keys.push(key);
    if (revision !== 0 && page.revision !== revision) throw new Error('pages of two revisions');
    revision = page.revision;
    cursor = page.cursor ?? '';
  } while (cursor !== '');
  return { keys, revision };
}

/** Who depends on a package, largest first: what the full scan says. */
export function dependants(all: ReadonlyMap<string, DebianPackage>, on: string): string[] {
  return [...all]
    .filter(([, { depends }]) => depends.includes(on))
    .sort(([a, x], [b, y]) => y.installedSize - x.installedSize || (a < b ? 1 : -1))
    .map(([key]) => key);
}
