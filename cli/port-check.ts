import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { CommandFailed } from './failures.ts';

/** A port on loopback that is to be bound soon. */
export interface WantedPort {
  readonly port: number;
  /** Who needs it: `nats-server`, a node's name. */
  readonly by: string;
  /** The flag that moves it. */
  readonly flag: string;
}

/** Throws CommandFailed, naming port and pid, when one of them belongs to somebody. */
export async function checkPorts(wanted: readonly WantedPort[]): Promise<void> {
  for (const { port, by, flag } of wanted) {
    if (await isFree(port)) continue;
    const owner = ownerOf(port);
    const who = owner === null ? '' : ` by ${owner.name} (pid ${owner.pid})`;
    const pid = owner === null ? {} : { pid: owner.pid };
    throw new CommandFailed(
      `port ${port}, wanted for ${by}, is in use${who}: stop that, or choose another ${flag}`,
      { code: 'EADDRINUSE', port, ...pid },
    );
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

const LISTENS = '0A';

/** Which process of this user listens on a port; null where the system does not tell (only Linux does). */
export function ownerOf(port: number): { readonly pid: number; readonly name: string } | null {
  const inodes = new Set([...inodesOf('/proc/net/tcp', port), ...inodesOf('/proc/net/tcp6', port)]);
  if (inodes.size === 0) return null;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
        if (inode === undefined || !inodes.has(inode)) continue;
        return { pid: Number(pid), name: readFileSync(`/proc/${pid}/comm`, 'utf8').trim() };
      }
    } catch {
      // Somebody else's process, or it has just ended.
    }
  }
  return null;
}

/** Sockets that listen on the port: `sl local_address rem_address st ... inode` per line. */
function inodesOf(file: string, port: number): string[] {
  let table: string;
  try {
    table = readFileSync(file, 'utf8');
  } catch {
    return [];
  }
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((row) => row[1]?.endsWith(suffix) && row[3] === LISTENS)
    .map((row) => row[9] ?? '');
}
