import type { Pick } from '../target.ts';

/** As much of JSON Schema as the document uses. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly items?: JsonSchema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
}

/** So few names that requests meet what others made. */
export const NAMES = ['a', 'b', 'c/d', 'e f', 'ü', 'users/1', 'index', 'k'];
const TEXTS = [
  ...NAMES,
  ...[
    '',
    '0',
    '1',
    '-1',
    '9007199254740993',
    'true',
    'null',
    '*',
    '"1"',
    '/age',
    '$.a',
    'put',
    'get',
  ],
  ...[
    'read_only',
    'admin',
    'default',
    'YQ==',
    'linearizable',
    'stale',
    '\u0000',
    '\ud83d\ude00',
    'x'.repeat(300),
  ],
  ...[
    'range',
    'delete',
    'number',
    'string',
    '2030-01-01T00:00:00Z',
    '__proto__',
    '../..',
    '%2e%2e',
  ],
];
const NUMBERS = [0, 1, 2, 3, 10, 60, 1000, -1, 0.5, 1e15, 2 ** 53, -(2 ** 31), 1e300];

/** Mostly a value of the schema; sometimes one that is near it. */
export function drawValue(schema: JsonSchema, pick: Pick, depth = 0): unknown {
  if (pick.chance(0.08)) return anything(pick, depth);
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return pick.one(schema.enum);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return drawValue(pick.one(choices), pick, depth);
  const type = typeof schema.type === 'string' ? schema.type : pick.one(schema.type ?? ['any']);
  switch (type) {
    case 'object':
      return drawObject(schema, pick, depth);
    case 'array':
      return Array.from({ length: pick.below(4) }, () =>
        drawValue(schema.items ?? {}, pick, depth + 1),
      );
    case 'integer':
    case 'number':
      return drawNumber(schema, pick, type === 'integer');
    case 'boolean':
      return pick.chance(0.5);
    case 'null':
      return null;
    case 'string':
      return pick.one(pick.chance(0.6) ? NAMES : TEXTS);
    default:
      return anything(pick, depth);
  }
}

function drawNumber({ minimum, maximum }: JsonSchema, pick: Pick, isWhole: boolean): number {
  if (pick.chance(0.2)) return pick.one(NUMBERS);
  const low = minimum ?? 0;
  const high = Math.min(maximum ?? low + 100, low + 100);
  const drawn = low + pick.below(Math.max(1, Math.floor(high - low) + 1));
  return isWhole || pick.chance(0.5) ? drawn : drawn + 0.25;
}

function drawObject(schema: JsonSchema, pick: Pick, depth: number): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  const { properties = {}, required = [] } = schema;
  for (const [name, inner] of Object.entries(properties)) {
    const isWanted = required.includes(name) ? pick.chance(0.95) : pick.chance(0.4);
    if (isWanted) out[name] = drawValue(inner, pick, depth + 1);
  }
  if (Object.keys(properties).length === 0 || pick.chance(0.03)) {
    out[pick.one(TEXTS)] = anything(pick, depth + 1);
  }
  return out;
}

/** What operations are called and have, so that bodies without a schema of their own say something. */
const MEMBERS = [
  'op',
  'key',
  'keyBase64',
  'value',
  'base64',
  'prefix',
  'ttl',
  'limit',
  'revision',
  'bucket',
];

function anything(pick: Pick, depth: number): unknown {
  switch (pick.below(depth > 3 ? 5 : 8)) {
    case 0:
      return null;
    case 1:
      return pick.chance(0.5);
    case 2:
      return pick.one(NUMBERS);
    case 3:
    case 4:
      return pick.one(TEXTS);
    case 5:
      return Array.from({ length: pick.below(4) }, () => anything(pick, depth + 1));
    default: {
      const entries = Array.from({ length: pick.below(5) }, () => [
        pick.one(MEMBERS),
        anything(pick, depth + 1),
      ]);
      return Object.fromEntries(entries) as Record<string, unknown>;
    }
  }
}
