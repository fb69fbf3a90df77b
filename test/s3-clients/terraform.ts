import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { awsEnv, type ClientCheck, endpoint } from './client-check.ts';
import { sdk } from './javascript.ts';
import { attempt, type Finished, run } from './shell.ts';
import { REGION, type Store } from './store.ts';
import { expectEqual } from './tree.ts';

const BUCKET = 'terraform';
const KEY = 'state/terraform.tfstate';

function configuration(store: Store, i: number): string {
  return `terraform {
  backend "s3" {
    bucket                      = "${BUCKET}"
    key                         = "${KEY}"
    region                      = "${REGION}"
    endpoints                   = { s3 = "${endpoint(store, i)}" }
    use_path_style              = true
    use_lockfile                = true
    skip_credentials_validation = true
    skip_region_validation      = true
    skip_requesting_account_id  = true
    skip_metadata_api_check     = true
  }
}
variable "value" {}
resource "terraform_data" "one" { input = var.value }
`;
}

/** The real program, with a resource that it has built in: state and lock are all that leaves it. */
export const TERRAFORM: ClientCheck = {
  ...{ name: 'terraform', program: 'terraform', package: null, version: ['version'] },
  async check(store, folder) {
    const s3 = sdk(store, 0);
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
    const env = { ...awsEnv(store), CHECKPOINT_DISABLE: '1' };
    const first = join(folder, '0');
    mkdirSync(first);
    writeFileSync(join(first, 'main.tf'), configuration(store, 0));
    await run('terraform', ['init', '-input=false'], { env, cwd: first });
    const apply = (cwd: string, value: string, wait: string) => {
      const flags = [
        '-input=false',
        '-auto-approve',
        `-lock-timeout=${wait}`,
        `-var=value=${value}`,
      ];
      return attempt('terraform', ['apply', ...flags], { env, cwd });
    };
    expectEqual((await apply(first, 'first', '0s')).code, 0, 'an apply');

    const lock = { Bucket: BUCKET, Key: `${KEY}.tflock` };
    const Info = { ID: 'somebody', Operation: 'test', Who: 'else', Created: new Date() };
    await s3.send(new PutObjectCommand({ ...lock, Body: JSON.stringify(Info) }));
    const refused = await apply(first, 'second', '0s');
    expectEqual(refused.code, 1, 'an apply beside a lock');
    expectEqual(/Error acquiring the state lock/.test(refused.output), true, 'what it says');
    await s3.send(new DeleteObjectCommand(lock));

    // Each waits for its turn; the serial number of the state counts them.
    const folders = [1, 2, 3].map((i) => join(folder, String(i)));
    for (const [i, other] of folders.entries()) {
      cpSync(first, other, { recursive: true });
      writeFileSync(join(other, 'main.tf'), configuration(store, i));
      await run('terraform', ['init', '-input=false', '-reconfigure'], { env, cwd: other });
    }
    const before = await serialOf(store);
    await Promise.all(folders.map((other, i) => inTurn(() => apply(other, `racer ${i}`, '90s'))));
    expectEqual((await serialOf(store)) - before, folders.length, 'states written by the racers');
  },
};

/**
 * Terraform gives up when the lock that refused it was released before it read who has it (its `Lock` repeats
 * only what names a holder); whoever runs it starts it again.
 */
async function inTurn(apply: () => Promise<Finished>): Promise<void> {
  for (let i = 0; ; i++) {
    const { code, output } = await apply();
    if (code === 0) return;
    const isReleased = /unable to retrieve file from S3 bucket/.test(output);
    if (!isReleased || i === 10) throw new Error(output);
  }
}

async function serialOf(store: Store): Promise<number> {
  const { Body } = await sdk(store, 1).send(new GetObjectCommand({ Bucket: BUCKET, Key: KEY }));
  return (JSON.parse(await Body!.transformToString()) as { serial: number }).serial;
}
