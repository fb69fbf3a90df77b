import type { Command } from 'commander';
import { clientCommand } from './client-command.ts';
import { UsageError } from './failures.ts';
import type { Io } from './io.ts';

const commands = () => import('./commands/api-keys.ts');

const ofS3 = () => import('./commands/s3-keys.ts');

/** `minikv keys`: API keys, and access keys of S3 with their users. */
export function addApiKeyCommands(program: Command, io: Io): void {
  const keys = program
    .command('keys')
    .description('API keys, and keys of S3; MINIKV_API_KEY says whose these requests are');
  const create = clientCommand(keys, io, 'create', 'Make a key and print it, this once');
  create.command
    .argument('<name>', 'What it is for')
    .option('--role <role>', 'admin, read_write (the default), read_only, or one that was made')
    .option('--tenant <name>', 'Whose keys, or buckets, it sees; left out: of whoever asks')
    .option('--expires <seconds>', 'It is no longer good after that time')
    .option('--s3', 'A pair of S3 keys of the user <name>, who is made where there is none')
    .option('--display-name <text>', 'With --s3: how ACLs and listings show a new user')
    .option('--email <address>', 'With --s3: what ACLs may name a new user by');
  create.action(async (context, [name], { s3, ...flags }) => {
    if (s3 === true) return (await ofS3()).createS3Key(context, name!, flags);
    if (flags['displayName'] === undefined && flags['email'] === undefined) {
      return (await commands()).createKey(context, name!, flags);
    }
    throw new UsageError('--display-name and --email are of users of S3: --s3');
  });
  const list = clientCommand(keys, io, 'list', 'Print all keys, without their secrets');
  list.command
    .option('--s3', 'Access keys of S3, with whose they are')
    .option('--tenant <name>', 'With --s3: of that tenant; left out: of whoever asks');
  list.action(async (context, _args, { s3, tenant }) => {
    if (s3 === true) return (await ofS3()).listS3Keys(context, tenant);
    if (tenant === undefined) return (await commands()).listKeys(context);
    throw new UsageError('API keys show their tenant: --tenant is of keys of S3, --s3');
  });
  const users = clientCommand(keys, io, 'users', 'Print the users of S3');
  users.command.option('--tenant <name>', 'Of that tenant; left out: of whoever asks');
  users.action(async (context, _args, { tenant }) => (await ofS3()).listUsers(context, tenant));
  const end = clientCommand(keys, io, 'delete-user', 'End a user of S3 with all its keys');
  end.command.argument('<name>');
  end.action(async (context, [name]) => (await ofS3()).deleteUser(context, name!));
  for (const [what, description] of [
    ['disable', 'Refuse an access key of S3, or all those of a user, until it is enabled'],
    ['enable', 'Take them again'],
  ] as const) {
    const one = clientCommand(keys, io, what, description);
    one.command.argument('<id or user>');
    one.action(async (context, [id]) => {
      const { changeS3Key, changeUserState, isS3KeyId } = await ofS3();
      if (isS3KeyId(id!)) return changeS3Key(context, what, id!);
      return changeUserState(context, what, id!);
    });
  }
  const change = clientCommand(keys, io, 'change-user', 'Change a user of S3');
  change.command
    .argument('<name>')
    .option('--role <role>', 'admin, read_write or read_only')
    .option('--display-name <text>', 'How ACLs and listings show them');
  change.action(async (context, [name], flags) => (await ofS3()).changeUser(context, name!, flags));
  for (const [what, description] of [
    ['show', 'Print a key, without its secret'],
    ['revoke', 'Revoke a key: when this is done, no node takes it'],
    ['delete', 'Revoke a key and forget it'],
  ] as const) {
    const one = clientCommand(keys, io, what, description);
    one.command.argument('<id>');
    one.action(async (context, [id]) => {
      const { changeS3Key, isS3KeyId } = await ofS3();
      if (isS3KeyId(id!)) return changeS3Key(context, what, id!);
      return (await commands()).changeKey(context, what, id!);
    });
  }
}
