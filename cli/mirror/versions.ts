import type { ListedVersion, VersionPage } from './answers.ts';

/** All versions of one key after another, newest first, however pages cut them. */
export async function* versionsByKey(
  pages: AsyncIterable<VersionPage>,
): AsyncGenerator<{ readonly key: string; readonly versions: ListedVersion[] }> {
  let versions: ListedVersion[] = [];
  for await (const page of pages) {
    for (const version of page.versions) {
      const key = versions[0]?.key;
      if (key !== undefined && key !== version.key) {
        yield { key, versions };
        versions = [];
      }
      versions.push(version);
    }
  }
  const key = versions[0]?.key;
  if (key !== undefined) yield { key, versions };
}
