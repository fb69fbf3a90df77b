import { BY_HEADER, BY_ID, LIST_V2, OPERATIONS } from '../../gateways/s3/operations.ts';
import { read } from './tree.ts';

/** docs/s3-operations.md: the operations of the S3 API that are routed, and what their handlers do. */
export function renderS3Operations(note: string): string {
  const handlers = handlerTexts();
  const rows = operationRows().map(({ name, request }) => {
    return `| \`${name}\` | ${request} | ${stateOf(handlers.get(name))} |`;
  });
  return `${[
    '# Operations of the S3 API',
    '',
    note,
    '',
    'By the names of the API reference, from `gateways/s3/operations.ts` and `gateways/s3/handlers.ts`. *No* is answered with 501',
    '`NotImplemented`, once what is sent has been read and is sound. *There is none* is a true answer: such a setting cannot be made.',
    'Any other operation of S3 is 501 too. Cases of most of them, with what does not hold yet, are in',
    '[test/s3](../test/e2e/s3-suite.test.ts).',
    '',
    '| Operation | Request | Here |',
    '|---|---|---|',
    ...rows,
  ].join('\n')}\n`;
}

interface Row {
  readonly name: string;
  readonly request: string;
}

function operationRows(): Row[] {
  const rows: Row[] = [];
  const places = { service: '/', bucket: '/{bucket}', object: '/{bucket}/{key}' } as const;
  for (const [level, methods] of Object.entries(OPERATIONS)) {
    const place = places[level as keyof typeof places];
    for (const [method, { plain, by }] of Object.entries(methods)) {
      if (plain !== null && method !== 'OPTIONS') {
        rows.push({ name: plain, request: `\`${method} ${place}\`` });
        if (plain === 'ListObjects') {
          rows.push({ name: LIST_V2, request: `\`${method} ${place}?list-type=2\`` });
        }
        rows.push(...copiesOf(plain, `\`${method} ${place}\``));
      }
      for (const [field, name] of Object.entries(by as Record<string, string>)) {
        rows.push({ name, request: `\`${method} ${place}?${field}\`` });
        rows.push(...copiesOf(name, `\`${method} ${place}?${field}\``));
        const one = (BY_ID as Readonly<Record<string, string>>)[name];
        if (one !== undefined)
          rows.push({ name: one, request: `\`${method} ${place}?${field}&id=\`` });
      }
    }
  }
  return rows.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function copiesOf(name: string, request: string): Row[] {
  const copy = (BY_HEADER as Readonly<Record<string, string>>)[name];
  return copy === undefined ? [] : [{ name: copy, request: `${request} with a copy source` }];
}

/** What stands behind each operation in the table of handlers. */
function handlerTexts(): ReadonlyMap<string, string> {
  const source = read('gateways/s3/handlers.ts');
  const table = source.slice(source.indexOf('export const HANDLERS'));
  return new Map(
    [...table.matchAll(/^ {2}(\w+):\s+([\w.]+)/gm)].map((m) => [m[1] as string, m[2] as string]),
  );
}

function stateOf(handler: string | undefined): string {
  if (handler === undefined) throw new Error('an operation has no handler in handlers.ts');
  if (handler === 'notImplemented' || handler === 'refused') return '**no**';
  if (handler === 'none' || handler === 'constant') return 'there is none';
  return handler === 'nothingToDelete' ? 'nothing to delete' : 'yes';
}
