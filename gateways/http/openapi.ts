import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { App, Edge } from './app.ts';
import { ruleOf } from './route-actions.ts';
import { answers, Problem } from './schemas.ts';

const DESCRIPTION = `One store for keys and objects. Every answer carries X-Request-Id, X-Minikv-Revision and
X-Minikv-Durability. Errors are RFC 9457 problem details. JSON routes take and give application/msgpack too.`;

const CREDENTIALS = [{ bearer: [] }];
const SECURITY_SCHEMES = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    description:
      'An API key (mkv_...), or in its place a token (a JWT) of POST /v1/auth/token. Asked for with auth only.',
  },
} as const;

/** What the document says of a route: who may use it, and how others are refused. */
function secured(
  schema: Record<string, unknown>,
  { method, url }: { readonly method: string | readonly string[]; readonly url: string },
  isAsked: boolean,
): Record<string, unknown> {
  const rules = [method].flat().map((each) => ruleOf(each, url));
  if (rules.every((rule) => rule === 'public')) return { ...schema, security: [] };
  const isForAnyKey = rules.every((rule) => rule === 'known' || rule === 'public');
  const refused = { 401: Problem, ...(isForAnyKey ? {} : { 403: Problem }) };
  const response = { ...(schema['response'] as object | undefined), ...refused };
  // An empty one: credentials are taken and not asked for.
  return { ...schema, response, security: isAsked ? CREDENTIALS : [{}, ...CREDENTIALS] };
}

/** /openapi.json, made from the route schemas, and /docs, which shows it without any other site. */
export async function registerDocs(app: App, edge: Edge): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'minikv', version: edge.version, description: DESCRIPTION },
      tags: [
        { name: 'keys', description: 'Keys and values.' },
        { name: 'watch', description: 'The change stream.' },
        { name: 'seed', description: "The seed project's own paths." },
        { name: 'admin', description: 'Health, status, import and export.' },
        { name: 'later', description: 'Promised, not served by this version: 501.' },
      ],
      components: { securitySchemes: SECURITY_SCHEMES },
    },
    transform: ({ schema, url, route }) => ({
      schema: secured((schema ?? {}) as Record<string, unknown>, route, edge.access !== null),
      url,
    }),
  });
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: true });
  let text: string | null = null;
  app.get('/openapi.json', {
    schema: {
      ...{ tags: ['admin'], summary: 'This document' },
      response: answers({ 200: { type: 'object', additionalProperties: true } }),
    },
    handler: (_request, reply) => {
      text ??= JSON.stringify(app.swagger());
      reply.header('content-type', 'application/json; charset=utf-8').send(text);
    },
  });
}
