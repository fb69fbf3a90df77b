import { type Command, Option } from 'commander';
import {
  type ClientFlags,
  type Context,
  ENDPOINT_DEFAULT,
  openContext,
} from './commands/context.ts';
import type { Io } from './io.ts';

/** A command that talks to a node: the common options, and its work with an open client. */
export function clientCommand(program: Command, io: Io, name: string, description: string) {
  const command = program
    .command(name)
    .description(description)
    .addOption(
      new Option(
        '--endpoint <url,...>',
        `Nodes to talk to, tried in turn (MINIKV_ENDPOINT, default ${ENDPOINT_DEFAULT})`,
      ),
    )
    .option('--timeout <seconds>', 'How long one request is tried, over all nodes', '15')
    .option('--json', 'Print JSON, one document per line');
  return {
    command,
    /** `work` gets the context, the arguments and the options. */
    action(
      work: (context: Context, args: string[], flags: Record<string, never>) => Promise<void>,
    ) {
      command.action(async (...all: unknown[]) => {
        const flags = all.at(-2) as ClientFlags & Record<string, never>;
        await work(openContext(io, flags), all.slice(0, -2) as string[], flags);
      });
    },
  };
}
