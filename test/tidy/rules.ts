/**
 * The layout rules as data: which zone may import which, which file is the door to a dependency,
 * and what is banned where. Each test in this folder checks one of them.
 */

/** Part of the tree. A file belongs to the first zone whose pattern matches its path. */
export interface Zone {
  readonly name: string;
  readonly pattern: RegExp;
  /** Zones whose values it may import; its own folder is always allowed. */
  readonly values: readonly string[];
  /** Zones of which it may import types only. */
  readonly types: readonly string[];
}

/**
 * Actor cores are pure: no clock, no I/O, no other actor. The state machine in actors/apply also
 * knows the row format, since rows are what it computes.
 */
export const ZONES: readonly Zone[] = [
  { name: 'protocol', pattern: /^protocol\//, values: ['protocol'], types: [] },
  {
    name: 'storage ports',
    pattern: /^storage\/(?:ports|disk\/port)\.ts$/,
    values: ['protocol', 'storage ports'],
    types: [],
  },
  {
    name: 'row format',
    pattern: /^storage\/kv\/(?:rows|keyspace|object-keys|lease-row|usage-rows|quota-rows)\.ts$/,
    values: ['protocol', 'row format'],
    types: ['storage ports'],
  },
  {
    name: 'storage',
    pattern: /^storage\//,
    values: ['protocol', 'storage ports', 'row format', 'storage'],
    types: [],
  },
  {
    name: 'telemetry port',
    pattern: /^observability\/port\.ts$/,
    values: ['protocol'],
    types: [],
  },
  {
    name: 'observability',
    pattern: /^observability\//,
    values: ['protocol', 'telemetry port', 'observability'],
    types: [],
  },
  { name: 'raft core', pattern: /^actors\/raft\//, values: ['protocol'], types: [] },
  {
    name: 'apply core',
    pattern: /^actors\/apply\//,
    values: ['protocol', 'row format'],
    types: ['storage ports'],
  },
  {
    name: 'actor host',
    pattern: /^actors\//,
    values: ['protocol', 'actor host', 'raft core', 'apply core', 'telemetry port', 'row format'],
    types: ['storage ports'],
  },
  {
    name: 'gateway',
    pattern: /^gateways\//,
    values: ['protocol', 'gateway', 'telemetry port'],
    types: ['actor host', 'storage ports'],
  },
  { name: 'client', pattern: /^client\//, values: [], types: [] },
  {
    name: 'cli',
    pattern: /^cli\//,
    values: [
      ...['protocol', 'storage ports', 'row format', 'storage', 'telemetry port', 'observability'],
      ...['raft core', 'apply core', 'actor host', 'gateway', 'cli'],
    ],
    types: [],
  },
];

export function zoneOf(path: string): Zone | null {
  return ZONES.find((zone) => zone.pattern.test(path)) ?? null;
}

/** Which gateway folders other gateways may use. */
export const SHARED_GATEWAYS = /^gateways\/(?:encryption|http|identity|kv|limits|peer)\//;

/** Mounts all HTTP gateways on one listener. */
export const GATEWAY_ROOT = 'gateways/http/server.ts';

/** The only files that may import a dependency; `types` are free everywhere in the same folder. */
export interface Door {
  readonly what: RegExp;
  readonly files: RegExp;
  readonly why: string;
}

export const DOORS: readonly Door[] = [
  {
    what: /^xstate$/,
    files: /^actors\/(?:.*\/)?machine\.ts$|^actors\/kit\/supervisor\.ts$|^actors\/node\.ts$/,
    why: 'machines host cores; rules do not know them',
  },
  {
    what: /^nats$|^@nats-io\//,
    files: /^gateways\/peer\/nats-[a-z-]+\.ts$/,
    why: 'NATS is transport behind the Bus port',
  },
  {
    what: /^(?:classic-level|memory-level|abstract-level)$/,
    files: /^storage\/kv\/(?:level-engine|classic-engine|table-maps)\.ts$/,
    why: 'an engine is a KvEngine to everyone else',
  },
  { what: /^lz4-napi$/, files: /^storage\/kv\/codecs\.ts$/, why: 'one place knows codecs' },
  { what: /^sorted-btree$/, files: /^storage\/kv\/tree\.ts$/, why: 'the memtable hides its tree' },
  {
    what: /^node:fs$/,
    files: /^storage\/(?:disk|kv|blob)\/|^cli\//,
    why: 'everything else writes through the Disk port, so that the simulator can break it',
  },
  {
    what: /^node:http2?$|^node:https$|^fastify$|^@fastify\//,
    files: /^gateways\/(?:http|kv|watch|admin|s3|notify)\/|^cli\//,
    why: 'only the HTTP edge knows HTTP, and what calls webhooks',
  },
  { what: /^ws$/, files: /^gateways\/(?:http|watch)\//, why: 'WebSockets belong to the HTTP edge' },
  {
    what: /^node:net$/,
    files: /^gateways\/(?:http|peer)\/|^cli\//,
    why: 'sockets belong to the edges',
  },
  {
    what: /^node:crypto$/,
    files:
      /^storage\/(?:at-rest\/|audit\/chain\.ts|checksum\.ts|blob\/|snapshot)|^gateways\/|^cli\//,
    why: 'hashes and ciphers only, and randomness comes from the Random port',
  },
  { what: /^node:child_process$/, files: /^cli\//, why: 'only the command line starts programs' },
  {
    what: /^@msgpack\/msgpack$/,
    files: /^protocol\/codec\.ts$/,
    why: 'its decoder needs every bound set',
  },
  {
    what: /^@node-rs\/argon2$/,
    files: /^gateways\/identity\/secret-hash\.ts$/,
    why: 'each run costs a thread and 19 MiB: they are bounded there',
  },
  {
    what: /^jose$/,
    files: /^gateways\/identity\/(?:tokens|issuer-keys|issuer-tokens)\.ts$/,
    why: 'which algorithms, keys and claims count is said there alone: for our tokens, and for those of others',
  },
  {
    what: /^xxhash-wasm$/,
    files: /^protocol\/hash\.ts$/,
    why: 'the placement hash is fixed for ever',
  },
  {
    what: /^@node-rs\/crc32$/,
    files: /^storage\/checksum\.ts$|^gateways\/s3\/checksums\.ts$/,
    why: 'one checksum for all files, and one among those that S3 clients name',
  },
  {
    what: /^hash-wasm$/,
    files: /^gateways\/s3\/crc64\.ts$/,
    why: 'all streams share one instance of its WebAssembly',
  },
  {
    what: /^@opentelemetry\//,
    files: /^observability\//,
    why: 'telemetry is a port to everyone else',
  },
  {
    what: /^pino$/,
    files: /^observability\/json-log\.ts$/,
    why: 'telemetry is a port to everyone else',
  },
  {
    what: /^(?:commander|smol-toml|cli-[a-z0-9-]+)$/,
    files: /^cli\//,
    why: 'only the command line talks to people',
  },
  {
    what: /^(?:typebox|@sinclair\/typebox)$/,
    files: /^gateways\/(?:http|kv|watch|admin)\//,
    why: 'client schemas belong to the HTTP edge',
  },
];

/** Names that are ports everywhere but in cli/, where the real ones are made. */
export const AMBIENT: readonly { readonly name: string; readonly instead: string }[] = [
  { name: String.raw`\bDate\s*\.\s*now\b|\bnew Date\(\)`, instead: 'the Clock port (wallMs)' },
  { name: String.raw`\bperformance\b`, instead: 'the Clock port (monotonicMs)' },
  {
    name: String.raw`\b(?:setTimeout|setInterval|setImmediate)\b`,
    instead: 'the Clock port (after, soon)',
  },
  { name: String.raw`\bMath\s*\.\s*random\b`, instead: 'the Random port' },
  { name: String.raw`\brandom(?:UUID|Bytes|FillSync)\s*\(`, instead: 'the Random port' },
  { name: String.raw`\bconsole\s*\.`, instead: 'telemetry.log' },
  { name: String.raw`(?<![.\w$])process\s*\.`, instead: 'a value from cli/' },
];

/** Where an ambient name is needed after all, with the reason. */
export const AMBIENT_EXCEPTIONS: readonly {
  readonly path: RegExp;
  readonly name: RegExp;
  readonly why: string;
}[] = [
  {
    path: /^storage\/disk\/folder-lock\.ts$/,
    name: /process/,
    why: 'the lock of a data folder names the process that holds it',
  },
  {
    path: /^client\/ambient\.ts$/,
    name: /performance|setTimeout|Math/,
    why: 'the client library runs in other programs: this file is its port to them',
  },
];

/** One call per command or record passes through these: nothing that copies or re-encodes. */
export const HOT_FILES =
  /^actors\/raft\/(?!README)|^actors\/apply\/(?:apply|write|group-state)\.ts$|^actors\/kit\/(?:inbox|turn-loop|post-office)\.ts$|^storage\/wal\/(?:wal|record)\.ts$|^protocol\/(?:envelope|entry)\.ts$/;

export const HOT_BANS: readonly { readonly name: string; readonly instead: string }[] = [
  {
    name: String.raw`\[[^\]\n{(]*\.\.\.(?=[^\]\n]*\])`,
    instead: 'push into the array, or a loop into a preallocated one',
  },
  { name: String.raw`\.concat\(`, instead: 'a loop, or one Buffer.allocUnsafe and set' },
  { name: String.raw`\bJSON\s*\.`, instead: 'the codec, once' },
  { name: String.raw`\bstructuredClone\b`, instead: 'the value itself; one owner writes it' },
];

/** "Manager", "helper" and so on say nothing about what a file does. */
export const BANNED_NOUNS = /(?:^|[-.])(?:managers?|helpers?|utils?|services?|data)(?=[-.])/;
export const NOUN_EXCEPTIONS: ReadonlyMap<string, string> = new Map([
  ['protocol/service.ts', 'the port KvService: what every gateway calls'],
  ['actors/shard/manager.ts', '"shard manager" is the one fixed term with that word'],
  ['actors/router/kv-service.ts', 'implements the port KvService'],
  ['cli/service-gate.ts', 'stands before the port KvService while a node starts or stops'],
  ['test/kit/model-service.ts', 'a model of the port KvService'],
]);

export const FILE_LINES_MAX = 400;
/** Without the named functions inside it, which are measured by themselves. */
export const FUNCTION_LINES_MAX = 70;
/** With them: a factory is like a class, up to a point. */
export const FACTORY_LINES_MAX = 150;
export const MEDIAN_FILE_LINES_MAX = 200;
