import { Command, CommanderError } from 'commander';
import { addAuditCommands } from './audit-commands.ts';
import { clientCommand } from './client-command.ts';
import { CONFIG_KEYS, variableOf } from './config-keys.ts';
import { CommandFailed, UsageError } from './failures.ts';
import type { Io } from './io.ts';
import { addApiKeyCommands } from './key-commands.ts';
import { addLimitCommands } from './limit-commands.ts';
import { addCareCommands, addMirrorCommand } from './object-commands.ts';
import { addQuotaCommands } from './quota-commands.ts';
import { addRoleCommands } from './role-commands.ts';
import { addDataKeyCommands } from './sealing-key-commands.ts';
import type { Compose } from './serve.ts';
import { addTenantCommands } from './tenant-commands.ts';

/**
 * The command line; the door to commander. Commands are loaded when they are called, so that each
 * starts with little more than its own code.
 */

/** What the tests of a command line replace. */
export interface ProgramParts {
  readonly version: string;
  compose(): Promise<Compose>;
}

/** Runs one command line (without node and script). Never throws; returns the exit code. */
export async function runProgram(
  args: readonly string[],
  io: Io,
  parts: ProgramParts,
): Promise<number> {
  const outcome = { code: 0 };
  const program = buildProgram(io, parts, outcome);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return outcome.code;
  } catch (error) {
    // Commander has written its message; help and version end with code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    return reportFailure(error, io, args.includes('--json'));
  }
}

function reportFailure(error: unknown, io: Io, json: boolean): number {
  const usage = error instanceof UsageError;
  const message = error instanceof Error ? error.message : String(error);
  if (json) {
    const details = error instanceof CommandFailed ? error.details : {};
    const code = usage ? 'usage' : 'failed';
    io.err(`${JSON.stringify({ error: { code, ...details, message } })}\n`);
  } else {
    io.err(`error: ${message}\n`);
    const expected = usage || error instanceof CommandFailed;
    if (!expected && error instanceof Error && error.stack !== undefined)
      io.err(`${error.stack}\n`);
  }
  return usage ? 2 : 1;
}

function buildProgram(io: Io, parts: ProgramParts, outcome: { code: number }): Command {
  const program = new Command('minikv')
    .description('One store for keys and objects.')
    .version(parts.version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void io.out(text),
      writeErr: (text) => io.err(text),
      getOutHasColors: () => io.outIsTerminal,
      getErrHasColors: () => io.errIsTerminal,
    })
    .addHelpText('after', '\nExit codes: 0 done, 1 refused or failed, 2 usage.');
  addNodeCommands(program, io, parts, outcome);
  addInitCommand(program, io);
  addKeyCommands(program, io);
  addLeaseCommands(program, io);
  addTxnCommand(program, io);
  addBulkCommands(program, io);
  addMirrorCommand(program, io);
  addCareCommands(program, io);
  addIndexCommands(program, io);
  addStatusCommands(program, io);
  addApiKeyCommands(program, io);
  addTenantCommands(program, io);
  addRoleCommands(program, io);
  addLimitCommands(program, io);
  addQuotaCommands(program, io);
  addAuditCommands(program, io);
  addDataKeyCommands(program, io);
  return program;
}

/** Adds a setting's flag for each row of the table that has one. */
function withConfigFlags(command: Command): Command {
  for (const row of CONFIG_KEYS.filter((candidate) => candidate.flag)) {
    const flag = row.argument === undefined ? `--${row.key}` : `--${row.key} ${row.argument}`;
    const fallback =
      row.fallback === null || row.kind === 'boolean' ? '' : `, default ${row.fallback}`;
    command.option(flag, `${row.help} (${variableOf(row.key)}${fallback})`);
  }
  return command
    .option('--config <file>', 'Settings as TOML, with the same names (MINIKV_CONFIG)')
    .option('--json', 'Print JSON, one document per line');
}

type FlagValues = Record<string, string | boolean | undefined>;

/** Commander's camel-case names back to the names of the table. */
function configFlags(values: FlagValues): FlagValues {
  const flags: FlagValues = { config: values['config'] };
  for (const { key } of CONFIG_KEYS) {
    flags[key] = values[key.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())];
  }
  return flags;
}

function addInitCommand(program: Command, io: Io): void {
  program
    .command('init')
    .description('Write configurations for new nodes, with every secret drawn')
    .argument('[folder]', 'Made when missing; nothing in it is written over', './minikv')
    .option('--auth', 'Ask for API keys; draws the first one')
    .option('--tls', 'An authority of their own, and a certificate of each node')
    .option(
      '--node <id=name,...>',
      'A node with the host names and addresses that clients know it by; once for each node',
      (text: string, all: string[] = []) => [...all, text],
    )
    .option('--nats <url,...>', 'NATS servers that the nodes meet on')
    .option(
      '--host <address>',
      'To listen on; default 0.0.0.0 with --auth and --tls, else 127.0.0.1',
    )
    .option('--at <folder>', 'Where each node will find its own files, where they are moved')
    .option(
      '--client <name>',
      'A certificate for a client, of the authority of a folder; once for each',
      (text: string, all: string[] = []) => [...all, text],
    )
    .option('--renew', 'New certificates for the nodes of a folder; nodes that run take them')
    .action(async (folder: string, flags) => {
      const { init } = await import('./commands/init.ts');
      await init(io, folder, flags);
    });
}

function addNodeCommands(
  program: Command,
  io: Io,
  parts: ProgramParts,
  outcome: { code: number },
): void {
  withConfigFlags(program.command('serve').description('Run one node')).action(
    async (values: FlagValues) => {
      const [{ loadConfig }, { serve }] = await Promise.all([
        import('./config.ts'),
        import('./serve.ts'),
      ]);
      const sources = { flags: configFlags(values), env: io.env, readFile: io.readFile };
      const { config } = loadConfig(sources);
      outcome.code = await serve(io, config, await parts.compose(), values['json'] === true);
    },
  );
  program
    .command('cluster')
    .description('Run a cluster of nodes on this machine, with a nats-server between them')
    .option('--nodes <count>', 'Number of nodes', '3')
    .option('--base-port <port>', 'HTTP port of the first node; the next have 10 more each', '8080')
    .option('--data <folder>', 'Data folder; each node has a folder in it', './cluster-data')
    .option('--nats <url,...>', 'Use these NATS servers instead of starting one')
    .option('--nats-port <port>', 'Port of the nats-server; default: the base port plus 9')
    .option('--groups <count>', 'Raft groups a new cluster is cut into')
    .option('--ephemeral', 'Keep everything in memory')
    .option('--json', 'Print JSON, one document per line')
    .action(async (flags) => {
      const { cluster } = await import('./cluster.ts');
      outcome.code = await cluster(io, flags);
    });
  program
    .command('sim')
    .description('Run the simulator: seeded faults against a whole cluster in one process')
    .argument('[args...]', 'Passed on, e.g. --seeds 1..100')
    .allowUnknownOption()
    .helpOption(false)
    .action(async (args: string[]) => {
      const { sim } = await import('./commands/sim.ts');
      outcome.code = await sim(io, args);
    });
  const config = program.command('config').description('Settings');
  withConfigFlags(
    config.command('print').description('Print every setting and where it came from'),
  ).action(async (values: FlagValues) => {
    const { configPrint } = await import('./commands/config-print.ts');
    await configPrint(io, configFlags(values), values['json'] === true);
  });
}

function addKeyCommands(program: Command, io: Io): void {
  const put = clientCommand(program, io, 'put', 'Store a value under a key');
  put.command
    .argument('<key>')
    .argument('[value]', 'The value; - or nothing reads standard input')
    .option('--file <path>', 'Take the value from a file')
    .option('--ttl <seconds>', 'Remove the key after that time')
    .option('--lease <id>', 'Attach the key to this lease: with it, it goes')
    .option('--if-match <revision>', 'Only if the key is at this revision')
    .option('--if-absent', 'Only if there is no such key')
    .option('--content-type <type>', 'Kept with the value');
  put.action(async (context, [key, value], flags) =>
    (await import('./commands/keys.ts')).put(context, key!, value, flags),
  );
  const get = clientCommand(program, io, 'get', "Print a key's value");
  get.command
    .argument('<key>')
    .option('--revision <revision>', 'As it was at this revision')
    .option('--stale', 'From the nearest replica, which may be behind');
  get.action(async (context, [key], flags) =>
    (await import('./commands/keys.ts')).get(context, key!, flags),
  );
  const del = clientCommand(program, io, 'del', 'Delete a key');
  del.command
    .argument('<key>')
    .option('--if-match <revision>', 'Only if the key is at this revision');
  del.action(async (context, [key], flags) =>
    (await import('./commands/keys.ts')).del(context, key!, flags),
  );
  for (const values of [false, true]) {
    const name = values ? 'scan' : 'ls';
    const list = clientCommand(program, io, name, values ? 'Print keys and values' : 'Print keys');
    list.command
      .argument('[prefix]', 'Only keys that begin with it', '')
      .option('--start <key>', 'From this key on')
      .option('--end <key>', 'Up to, but without, this key')
      .option('--limit <count>', 'At most so many')
      .option('--reverse', 'In descending order')
      .option('--revision <revision>', 'As it was at this revision')
      .option('--stale', 'From the nearest replicas, which may be behind');
    list.action(async (context, [prefix], flags) =>
      (await import('./commands/list.ts')).list(context, prefix ?? '', values, flags),
    );
  }
}

function addLeaseCommands(program: Command, io: Io): void {
  const lease = clientCommand(program, io, 'lease', 'Grant, keep, show, revoke and list leases');
  lease.command
    .argument('<what>', 'grant <seconds>, keep <id>, show <id>, revoke <id>, or list')
    .argument('[argument]');
  lease.action(async (context, [what, argument]) =>
    (await import('./commands/leases.ts')).lease(context, what!, argument),
  );
  const lock = clientCommand(program, io, 'lock', 'Show who holds a lock, or all that are held');
  lock.command.argument('[name]');
  lock.action(async (context, [name]) =>
    (await import('./commands/leases.ts')).lock(context, name),
  );
}

function addTxnCommand(program: Command, io: Io): void {
  const txn = clientCommand(program, io, 'txn', 'Do several things, all or nothing');
  txn.command.option(
    '-f, --file <path>',
    'A document {compare, then, else}; without it, standard input, or typed at a terminal',
  );
  txn.action(async (context, _, flags) => (await import('./commands/txn.ts')).txn(context, flags));
}

function addBulkCommands(program: Command, io: Io): void {
  const watch = clientCommand(program, io, 'watch', 'Print changes as they happen');
  watch.command
    .argument('[prefix]', 'Only keys that begin with it', '')
    .option('--from <revision>', 'Everything after this revision (or resume token)')
    .option('--initial', 'First every current key')
    .option('--prev', 'With the value before (in --json)')
    .option('--count <count>', 'Stop after so many');
  watch.action(async (context, [prefix], flags) =>
    (await import('./commands/watch.ts')).watch(context, prefix ?? '', flags),
  );
  const imports = clientCommand(
    program,
    io,
    'import',
    'Put many records from a file or standard input',
  );
  imports.command
    .argument('[file]', 'NDJSON or deb822, .gz too; - or nothing reads standard input')
    .option('--format <format>', 'ndjson ({key, value | base64} per line) or deb822 (Debian index)')
    .option('--key <template>', "deb822: the key, e.g. 'debian/{Section}/{Package}'")
    .option('--batch <count>', 'Records per request', '500')
    .option('--parallel <count>', 'Requests under way at once', '4')
    .option('--checkpoint <file>', 'Remember progress here; the same command then goes on')
    .option('--encryption-key-file <file>', 'Keys that open an encrypted export')
    .option('--encryption-key-command <command>', 'Prints them')
    .option('--progress', 'Show progress although standard error is no terminal')
    .option('--no-progress', 'Show none');
  // Commander would make --no-progress a default of true.
  imports.command.setOptionValue('progress', undefined);
  imports.action(async (context, [file], flags) =>
    (await import('./commands/import.ts')).importRecords(context, file, flags),
  );
  const exports = clientCommand(program, io, 'export', 'Print a consistent snapshot as NDJSON');
  exports.command
    .argument('[prefix]', 'Only keys that begin with it', '')
    .option('--out <file>', 'Write to a file')
    .option('--revision <revision>', 'As it was at this revision')
    .option('--encrypt', 'Under the key of MINIKV_EXPORT_KEY, or of one of these:')
    .option(
      '--encryption-key-file <file>',
      '32 bytes as hex or base64, older ones on further lines',
    )
    .option('--encryption-key-command <command>', 'Prints them')
    .option('--progress', 'Show progress although standard error is no terminal')
    .option('--no-progress', 'Show none');
  exports.command.setOptionValue('progress', undefined);
  exports.action(async (context, [prefix], flags) =>
    (await import('./commands/export.ts')).exportItems(context, prefix ?? '', flags),
  );
}

const indexCommands = () => import('./commands/indexes.ts');

function addIndexCommands(program: Command, io: Io): void {
  const index = program.command('index').description('Secondary indexes');
  clientCommand(index, io, 'list', 'Print all indexes').action(async (context) =>
    (await indexCommands()).listIndexes(context),
  );
  const define = clientCommand(index, io, 'define', 'Define an index; it is built by itself');
  define.command
    .argument('<name>')
    .argument('[path...]', 'JSON Pointer or JSONPath, then :number or :time where it is no string')
    .option('--prefix <prefix>', 'Only keys that begin with it')
    .option('--sparse', 'Leave out values that lack a field')
    .option('--unique', 'No two keys may have the same values, null apart')
    .option('--text', 'Over the text of whole values, for `minikv search`');
  define.action(async (context, [name, paths], flags) =>
    (await indexCommands()).defineIndex(context, name!, (paths ?? []) as string[], flags),
  );
  for (const [verb, description] of [
    ['show', 'Print an index and how far it is built'],
    ['drop', 'Drop an index'],
    ['pause', 'Halt the building of an index'],
    ['resume', 'Let the building of an index go on'],
  ] as const) {
    const one = clientCommand(index, io, verb, description);
    one.command.argument('<name>');
    one.action(async (context, [name]) => {
      const commands = await indexCommands();
      if (verb === 'show') return commands.showIndex(context, name!);
      if (verb === 'drop') return commands.dropIndex(context, name!);
      return commands.pauseIndex(context, name!, verb === 'pause');
    });
  }
  const query = clientCommand(index, io, 'query', 'Print keys and values by their fields');
  query.command.argument('<name>');
  for (const [name, description] of [
    ['eq', 'The first field is this; a JSON array is for the first fields'],
    ['gt', 'The next field is above this'],
    ['gte', 'The next field is this or above'],
    ['lt', 'The next field is below this'],
    ['lte', 'The next field is this or below'],
    ['prefix', 'The next field begins with this'],
  ] as const) {
    query.command.option(`--${name} <value>`, description);
  }
  query.command
    .option('--desc', 'In descending order')
    .option('--limit <count>', 'At most so many')
    .option('--revision <revision>', 'As it was at this revision');
  query.action(async (context, [name], flags) =>
    (await indexCommands()).queryIndex(context, name!, flags),
  );
  const search = clientCommand(program, io, 'search', 'Print keys whose values hold a text');
  search.command
    .argument('<text>')
    .option('--prefix <prefix>', 'Only keys that begin with it')
    .option('--limit <count>', 'At most so many')
    .option('--revision <revision>', 'As it was at this revision');
  search.action(async (context, [text], flags) =>
    (await indexCommands()).search(context, text!, flags),
  );
}

function addStatusCommands(program: Command, io: Io): void {
  clientCommand(program, io, 'status', 'Show nodes, groups and leaders').action(async (context) =>
    (await import('./commands/status.ts')).status(context),
  );
  clientCommand(program, io, 'members', 'Show who votes in which group').action(async (context) =>
    (await import('./commands/status.ts')).members(context),
  );
  const what = 'Show how much is stored, in all and in each bucket';
  clientCommand(program, io, 'usage', what).action(async (context) =>
    (await import('./commands/usage.ts')).usage(context),
  );
}
