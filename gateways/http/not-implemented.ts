import { AppError } from '../../protocol/errors.ts';
import type { App } from './app.ts';
import * as schemas from './schemas.ts';

/** Paths that API.md promises and this version does not serve yet: 501, never 404. */
const S3_ROUTES: Routes = {
  '/s3': ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'],
  '/s3/*': ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'],
};
const ROUTES: Routes = {
  '/admin/scale': ['POST'],
};
type Routes = Readonly<Record<string, readonly Method[]>>;
type Method = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';

export function registerNotImplemented(app: App, { hasS3 }: { hasS3: boolean }): void {
  const routes = hasS3 ? ROUTES : { ...S3_ROUTES, ...ROUTES };
  for (const [url, methods] of Object.entries(routes)) {
    for (const method of methods) {
      app.route({
        ...{ method, url, exposeHeadRoute: false },
        // Refused before a byte of the body is read.
        onRequest: (_request, _reply, done) => done(refusal()),
        schema: {
          ...{ tags: ['later'], summary: 'Not implemented in this version' },
          response: schemas.answers({ 501: schemas.Problem }),
        },
        handler: () => {
          throw refusal();
        },
      });
    }
  }
}

function refusal(): AppError {
  return new AppError('not_implemented', 'this version does not serve this path yet');
}
