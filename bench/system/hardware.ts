import { spawnSync } from 'node:child_process';
import { cpus, release, totalmem, type } from 'node:os';

/** What the figures were measured on; nothing that names a machine or a person. */
export interface Hardware {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  /** File system of the data folder. */
  readonly fileSystem: string;
}

export function hardware(dataFolder: string): Hardware {
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release().split('-')[0]}`,
    node: process.version,
    fileSystem: fileSystemOf(dataFolder),
  };
}

function fileSystemOf(folder: string): string {
  const { status, stdout } = spawnSync('stat', ['-f', '-c', '%T', folder], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : 'unknown';
}

/** Short hash of what is checked out, with `+` when files differ from it; null outside a clone. */
export function commitOf(root: string): string | null {
  const git = (...args: string[]): string | null => {
    const { status, stdout } = spawnSync('git', ['-C', root, ...args], { encoding: 'utf8' });
    return status === 0 ? stdout.trim() : null;
  };
  const commit = git('rev-parse', '--short=9', 'HEAD');
  if (commit === null) return null;
  const changed = git('status', '--porcelain', '--untracked-files=no') ?? '';
  return changed === '' ? commit : `${commit}+`;
}
