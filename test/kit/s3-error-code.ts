import { S3Error } from '../../gateways/s3/errors.ts';

/** The code of the S3Error that is thrown, `none` where nothing is; whatever else is thrown is thrown on. */
export function codeOf(run: () => unknown): string {
  return thrownBy(run)?.code ?? 'none';
}

export function thrownBy(run: () => unknown): S3Error | null {
  try {
    run();
    return null;
  } catch (error) {
    if (error instanceof S3Error) return error;
    throw error;
  }
}
