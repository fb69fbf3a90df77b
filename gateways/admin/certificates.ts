import { Type } from 'typebox';
import { AppError } from '../../protocol/errors.ts';
import type { App, Edge } from '../http/app.ts';
import { objectBody } from '../http/content.ts';
import { contextOf } from '../http/context.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import type {
  Certificates,
  ShownCertificate,
  WantedCertificate,
} from '../identity/certificates.ts';
import { checkFields } from './api-keys.ts';

const PATH = '/admin/certificates';
const NullableText = Type.Union([Type.String(), Type.Null()]);
const Certificate = Type.Object({
  id: Type.String({ description: 'Of the name.' }),
  name: Type.String(),
  key: NullableText,
  s3_user: NullableText,
  createdAtMs: Type.Integer(),
});
const List = Type.Object({ certificates: Type.Array(Certificate) });
const Deleted = Type.Object({ id: Type.String(), deleted: Type.Boolean() });
const Id = Type.Object({ id: Type.String() });
const Wanted = Type.Object({
  name: Type.String({
    description:
      'subject:CN=a,O=b as the certificate has it, or an alternative name: dns:, uri:, email:, ip:.',
  }),
  key: Type.Optional(
    Type.Union([Type.String(), Type.Null()], {
      description: 'Id of the API key it stands in for.',
    }),
  ),
  s3_user: Type.Optional(
    Type.Union([Type.String(), Type.Null()], { description: 'Whom it stands for on S3.' }),
  ),
});
const FIELDS: ReadonlySet<string> = new Set(['name', 'key', 's3_user']);

/** `/admin/certificates`: whom client certificates stand for. What is answered holds on every node. */
export function registerCertificateRoutes(app: App, edge: Edge): void {
  app.get(PATH, {
    schema: {
      ...{ tags: ['admin'], summary: 'Whom client certificates stand for' },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: List }) },
    },
    handler: async (request, reply) => {
      const found = await certificatesOf(edge).list(contextOf(request));
      return answer(request, reply, 200, null, () => ({ certificates: found.map(shape) }));
    },
  });
  app.post(PATH, {
    config: { body: 'document' },
    schema: {
      ...{ tags: ['admin'], summary: 'Says whom certificates of a name stand for' },
      ...{ querystring: schemas.NoQuery, body: Wanted },
      response: schemas.answers({ 201: Certificate }),
    },
    handler: async (request, reply) => {
      const wanted = wantedOf(objectBody(request));
      const made = await certificatesOf(edge).create(contextOf(request), wanted);
      return answer(request, reply, 201, null, () => shape(made));
    },
  });
  app.delete(`${PATH}/:id`, {
    schema: {
      ...{ tags: ['admin'], summary: 'They stand for nobody any more', params: Id },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: Deleted }) },
    },
    handler: async (request, reply) => {
      const { id } = request.params;
      await certificatesOf(edge).delete(contextOf(request), id);
      return answer(request, reply, 200, null, () => ({ id, deleted: true }));
    },
  });
}

function wantedOf(body: Record<string, unknown>): WantedCertificate {
  checkFields(body, FIELDS);
  const { name, key = null, s3_user: s3User = null } = body;
  const isText = (value: unknown): value is string | null =>
    value === null || typeof value === 'string';
  if (typeof name !== 'string' || !isText(key) || !isText(s3User)) {
    throw new AppError('invalid_argument', 'name, key and s3_user must be text');
  }
  return { name, keyId: key, s3User };
}

function shape({ keyId, s3User, ...rest }: ShownCertificate) {
  return { ...rest, key: keyId, s3_user: s3User };
}

function certificatesOf({ access, certificates }: Edge): Certificates {
  if (access !== null && certificates !== null) return certificates;
  throw new AppError('not_implemented', 'this node asks nobody for credentials (auth)');
}
