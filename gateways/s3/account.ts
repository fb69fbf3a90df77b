import { createHash } from 'node:crypto';

/** To whom all buckets belong. S3 shows the hash of an account as the id of an owner. */
export const OWNER = {
  id: createHash('sha256').update('minikv').digest('hex'),
  displayName: 'minikv',
} as const;
