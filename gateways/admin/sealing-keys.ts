import { Type } from 'typebox';
import { AppError } from '../../protocol/errors.ts';
import type { DataKeyStatus, DataKeys } from '../../protocol/sealing-keys.ts';
import type { App, Edge } from '../http/app.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';

const PATH = '/admin/data-keys';

const Place = Type.Object({
  seen: Type.Integer({ description: 'Segments, values, chunks or snapshots looked at.' }),
  total: Type.Union([Type.Integer(), Type.Null()], { description: 'Null: that is not known.' }),
  resealed: Type.Integer({ description: 'Of those seen, sealed anew.' }),
  damaged: Type.Integer({ description: 'Of those seen, left as they are: they do not open.' }),
});
const PlaceName = Type.Union(
  (['log', 'values', 'chunks', 'snapshots'] as const).map((name) => Type.Literal(name)),
);
const Status = Type.Object({
  nodeId: Type.String(),
  dataKey: Type.Integer({ description: 'The number of the one that seals what is written.' }),
  dataKeys: Type.Array(Type.Integer(), {
    description: 'All of the folder: one, once nothing is sealed under an older one.',
  }),
  state: Type.Union(
    (['idle', 'resealing', 'waiting'] as const).map((state) => Type.Literal(state)),
  ),
  at: Type.Union([PlaceName, Type.Null()]),
  places: Type.Object({
    log: Type.Optional(Place),
    values: Type.Optional(Place),
    chunks: Type.Optional(Place),
    snapshots: Type.Optional(Place),
  }),
  rounds: Type.Integer(),
  error: Type.Union([Type.String(), Type.Null()]),
});
const Change = Type.Object({
  nodeId: Type.String(),
  rootKey: Type.String({ description: 'Id of the root key that wraps from now on.' }),
  before: Type.String({ description: 'Of the one before.' }),
});

/** `/admin/data-keys`: the keys of this node's encrypted data folder. No answer ever has a key in it. */
export function registerDataKeyRoutes(app: App, edge: Edge): void {
  const shown = (status: DataKeyStatus) => ({ nodeId: edge.service.status().nodeId, ...status });
  app.get(PATH, {
    schema: {
      ...{
        tags: ['admin'],
        summary: "The data keys of this node's folder, and how far a rotation is",
      },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: Status }) },
    },
    handler: async (request, reply) =>
      answer(request, reply, 200, null, () => shown(keysOf(edge).status())),
  });
  app.post(`${PATH}/rotate`, {
    schema: {
      ...{
        tags: ['admin'],
        summary: 'A new data key for this node; what is sealed under the old one is sealed anew',
      },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 202: Status }) },
    },
    handler: async (request, reply) => {
      const status = await keysOf(edge).rotate();
      return answer(request, reply, 202, null, () => shown(status));
    },
  });
  app.post(`${PATH}/reload-root-key`, {
    schema: {
      ...{
        tags: ['admin'],
        summary: 'Reads the root key from its file or command again, and uses the first one found',
      },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: Change }) },
    },
    handler: async (request, reply) => {
      const change = await keysOf(edge).reloadRootKey();
      const { nodeId } = edge.service.status();
      return answer(request, reply, 200, null, () => ({ nodeId, ...change }));
    },
  });
}

function keysOf({ dataKeys }: Edge): DataKeys {
  if (dataKeys !== null) return dataKeys;
  throw new AppError('not_implemented', "this node's data folder is not encrypted");
}
