import type { Command } from 'commander';
import { clientCommand } from './client-command.ts';
import type { Io } from './io.ts';

const commands = () => import('./commands/api-keys.ts');

/** `minikv keys`: API keys. */
export function addApiKeyCommands(program: Command, io: Io): void {
  const keys = program
    .command('keys')
    .description('API keys; MINIKV_API_KEY says whose these requests are');
  const create = clientCommand(keys, io, 'create', 'Make a key and print it, this once');
  create.command
    .argument('<name>', 'What it is for')
    .option('--role <role>', 'admin, read_write or read_only', 'read_write')
    .option('--expires <seconds>', 'It is no longer good after that time');
  create.action(async (context, [name], flags) =>
    (await commands()).createKey(context, name!, flags),
  );
  clientCommand(keys, io, 'list', 'Print all keys, without their secrets').action(async (context) =>
    (await commands()).listKeys(context),
  );
  for (const [what, description] of [
    ['show', 'Print a key, without its secret'],
    ['revoke', 'Revoke a key: when this is done, no node takes it'],
    ['delete', 'Revoke a key and forget it'],
  ] as const) {
    const one = clientCommand(keys, io, what, description);
    one.command.argument('<id>');
    one.action(async (context, [id]) => (await commands()).changeKey(context, what, id!));
  }
}
