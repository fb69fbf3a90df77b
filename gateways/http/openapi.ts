import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { App, Edge } from './app.ts';
import { answers } from './schemas.ts';

const DESCRIPTION = `One store for keys and objects. Every answer carries X-Request-Id, X-Minikv-Revision and
X-Minikv-Durability. Errors are RFC 9457 problem details. JSON routes take and give application/msgpack too.`;

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
    },
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
