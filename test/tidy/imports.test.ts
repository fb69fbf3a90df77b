import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DOORS, GATEWAY_ROOT, SHARED_GATEWAYS, ZONES, zoneOf } from './rules.ts';
import { exists, isOwn, packageOf, type SourceFile, sources } from './tree.ts';

const files = sources();

/** All violations at once, so that one run shows the whole list. */
function expectNone(violations: readonly string[]): void {
  expect(violations.join('\n')).toBe('');
}

describe('import directions', () => {
  it('each file imports only what its zone may', () => {
    const violations: string[] = [];
    for (const file of files) {
      const zone = zoneOf(file.path);
      if (zone === null) {
        violations.push(`${file.path}: belongs to no zone; add one to test/tidy/rules.ts`);
        continue;
      }
      for (const seen of file.imports.filter((i) => isOwn(i.from))) {
        const target = zoneOf(seen.from);
        const isNear = posix.dirname(seen.from) === posix.dirname(file.path);
        if (target === null || isNear) continue;
        if (zone.values.includes(target.name)) continue;
        if (seen.isTypeOnly && zone.types.includes(target.name)) continue;
        const only = zone.types.includes(target.name) ? ' (types are allowed: `import type`)' : '';
        violations.push(
          `${file.path}:${seen.line}: ${zone.name} may not import ${target.name} ${seen.from}${only}. Move the shared part to protocol/, or pass it in as a port`,
        );
      }
    }
    expectNone(violations);
  });

  it('a gateway uses other gateways only through http, kv and peer', () => {
    expectNone(
      files
        .filter((file) => file.path.startsWith('gateways/') && file.path !== GATEWAY_ROOT)
        .flatMap((file) =>
          file.imports
            .filter((i) => isOwn(i.from) && i.from.startsWith('gateways/'))
            .filter((i) => posix.dirname(i.from) !== posix.dirname(file.path))
            .filter((i) => !SHARED_GATEWAYS.test(i.from))
            .map(
              (i) =>
                `${file.path}:${i.line}: imports ${i.from}; move the shared part to gateways/http`,
            ),
        ),
    );
  });

  it('nothing outside test and bench imports them', () => {
    expectNone(
      files.flatMap((file) =>
        file.imports
          .filter((i) => /^(?:test|bench)\//.test(i.from))
          .map(
            (i) =>
              `${file.path}:${i.line}: imports ${i.from}; product code must not know its tests`,
          ),
      ),
    );
  });

  it('an own import names a file that exists, with its extension', () => {
    expectNone(
      sources([
        'protocol',
        'storage',
        'actors',
        'gateways',
        'observability',
        'client',
        'cli',
        'test',
      ]).flatMap((file) =>
        file.imports
          .filter((i) =>
            /^(?:\.|protocol\/|storage\/|actors\/|gateways\/|client\/|cli\/)/.test(i.from),
          )
          .filter((i) => !exists(i.from))
          .map((i) => `${file.path}:${i.line}: there is no ${i.from}`),
      ),
    );
  });

  it('every zone pattern still matches something', () => {
    const unused = ZONES.filter((zone) => !files.some((file) => zoneOf(file.path) === zone));
    expectNone(unused.map((zone) => `zone ${zone.name} matches no file; remove it from rules.ts`));
  });
});

describe('doors', () => {
  it('each dependency is imported through its door only', () => {
    const violations: string[] = [];
    for (const file of files) {
      for (const seen of file.imports.filter((i) => !isOwn(i.from))) {
        const door = DOORS.find((d) => d.what.test(packageOf(seen.from)));
        if (door === undefined || door.files.test(file.path)) continue;
        violations.push(
          `${file.path}:${seen.line}: imports ${seen.from}, but ${door.why}. Its door is ${door.files.source}`,
        );
      }
    }
    expectNone(violations);
  });

  it('cores and the client library import no packages and no built-ins at all', () => {
    expectNone(
      files
        .filter((file) => /^actors\/(?:raft|apply)\/|^client\//.test(file.path))
        .flatMap((file) =>
          file.imports
            .filter((i) => !isOwn(i.from))
            .map((i) => `${file.path}:${i.line}: imports ${i.from}; let its host do that`),
        ),
    );
  });
});

describe('structure', () => {
  it('has no import cycles (types aside)', () => {
    expectNone(
      cyclesOf(files).map((cycle) => `cycle: ${cycle.join(' -> ')}; move the shared part down`),
    );
  });

  it('has no barrels', () => {
    expectNone(
      files.flatMap((file) => {
        const reexports = file.imports.filter((i) => i.isReexport && isOwn(i.from));
        const isIndex = /(?:^|\/)(?:index|mod)\.ts$/.test(file.path);
        if (!isIndex && reexports.length < 3) return [];
        return [`${file.path}: is a barrel; import the files themselves`];
      }),
    );
  });
});

/** One cycle per strongly connected part that has one, as a path. */
function cyclesOf(all: readonly SourceFile[]): string[][] {
  const edges = new Map<string, readonly string[]>();
  for (const file of all) {
    const targets = file.imports.filter((i) => !i.isTypeOnly && isOwn(i.from)).map((i) => i.from);
    edges.set(file.path, targets);
  }
  const done = new Set<string>();
  const path: string[] = [];
  const cycles: string[][] = [];
  const visit = (node: string): void => {
    const at = path.indexOf(node);
    if (at >= 0) {
      cycles.push([...path.slice(at), node]);
      return;
    }
    if (done.has(node)) return;
    path.push(node);
    for (const next of edges.get(node) ?? []) visit(next);
    path.pop();
    done.add(node);
  };
  for (const node of edges.keys()) visit(node);
  return cycles;
}
