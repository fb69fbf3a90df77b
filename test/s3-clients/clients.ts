import { AWSCLI } from './awscli.ts';
import { BACKUPS } from './backups.ts';
import type { ClientCheck } from './client-check.ts';
import { MOUNTS } from './mounts.ts';
import { PYTHON } from './python.ts';
import { RCLONE } from './rclone.ts';
import { S3CMD } from './s3cmd.ts';
import { TERRAFORM } from './terraform.ts';

/** Programs, unmodified. The one that kills a node comes last. */
export const CLIENTS: readonly ClientCheck[] = [
  ...AWSCLI,
  ...PYTHON,
  RCLONE,
  S3CMD,
  ...MOUNTS,
  TERRAFORM,
  ...BACKUPS,
];
