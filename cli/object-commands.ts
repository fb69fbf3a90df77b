import type { Command } from 'commander';
import { clientCommand } from './client-command.ts';
import type { MirrorFlags } from './commands/mirror.ts';
import type { Io } from './io.ts';

/** Commands about objects. */
export function addMirrorCommand(program: Command, io: Io): void {
  const command = program
    .command('mirror')
    .description('Copy buckets from any S3 endpoint into this store')
    .argument('[bucket...]', 'Buckets of the source; none means all')
    .option('--from <url>', 'The S3 endpoint to copy from (MINIKV_FROM_ENDPOINT)')
    .option('--from-keys <file>', 'Its keys as JSON, {"accessKeyId", "secretAccessKey"}')
    .option('--from-region <region>', 'Its region', 'us-east-1')
    .option('--to <url,...>', 'S3 ports of nodes (MINIKV_S3_ENDPOINT, http://127.0.0.1:9000)')
    .option('--to-keys <file>', 'Their keys, e.g. s3-keys.json of a data folder')
    .option('--to-region <region>', 'Their region', 'us-east-1')
    .option('--prefix <prefix>', 'Only keys that begin with it')
    .option('--into <bucket>', 'Another name for the bucket here')
    .option('--versions', 'All versions and delete markers, in their order')
    .option('--settings', 'Settings of buckets too: policy, lifecycle, CORS, tags, encryption ...')
    .option('--locks', 'Object lock too: buckets with locks, retention and legal holds')
    .option('--state <file>', 'Remember progress here; the same command then goes on')
    .option('--parallel <count>', 'Objects under way at once', '8')
    .option('--whole-max <MiB>', 'Objects beyond this are copied in parts', '1024')
    .option('--part-size <MiB>', 'Of such parts, at least', '16')
    .option('--progress', 'Show progress although standard error is no terminal')
    .option('--no-progress', 'Show none')
    .option('--json', 'Print the summary as JSON')
    .addHelpText(
      'after',
      '\nKeys of the source: MINIKV_FROM_ACCESS_KEY and MINIKV_FROM_SECRET_KEY, else AWS_ACCESS_KEY_ID and' +
        '\nAWS_SECRET_ACCESS_KEY. Of the target: MINIKV_S3_ACCESS_KEY and MINIKV_S3_SECRET_KEY.',
    );
  command.setOptionValue('progress', undefined);
  command.action(async (buckets: string[], flags: MirrorFlags) =>
    (await import('./commands/mirror.ts')).mirror(io, buckets, flags),
  );
}

export function addCareCommands(program: Command, io: Io): void {
  for (const [name, description] of [
    ['verify', 'Read every chunk of objects, and look for those that are missing'],
    ['repair', 'The same, and bring what is damaged or missing from other nodes'],
    ['compact', 'Remove chunks that no object needs'],
  ] as const) {
    const care = clientCommand(program, io, name, description);
    care.command
      .option('--node <name,...>', 'Only these nodes')
      .option('--progress', 'Show progress although standard error is no terminal')
      .option('--no-progress', 'Show none');
    care.command.setOptionValue('progress', undefined);
    care.action(async (context, _, flags) =>
      (await import('./commands/chunks.ts')).careForChunks(context, name, flags),
    );
  }
}
