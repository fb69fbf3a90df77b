import type { IncomingMessage } from 'node:http';
import { isDenial } from '../../protocol/audit.ts';
import { type AppError, ERRORS } from '../../protocol/errors.ts';
import { credentialOf } from '../identity/client-certificate.ts';
import type { Edge } from './app.ts';
import { requestIdOf } from './raw-answer.ts';
import type { RouteRule } from './route-actions.ts';

/** One request that was answered. */
export interface Answered {
  /** As it came: `originalUrl` is what the router made another `url` of. */
  readonly req: IncomingMessage & { readonly originalUrl?: string };
  /** Null: there is no such route. */
  readonly rule: RouteRule | null;
  /** Null: not known from the way it came in. */
  readonly who: string | null;
  /** 0: whoever sent it was gone before there was an answer. */
  readonly status: number;
  readonly requestId: string;
}

/**
 * Writes administrative and denied requests down, and where data is, all others. Who is asked nothing did nothing, and reading the
 * state of a node is what programs do all day: those only when they were denied.
 */
export function audit({ audit: trail, access }: Edge, answered: Answered): void {
  if (trail === null) return;
  const { req, rule, status, requestId } = answered;
  const isQuiet = rule === null || rule === 'public' || rule === 'status:read';
  const isWanted = isDenial(status) || isAdministrative(rule) || (trail.hasData && !isQuiet);
  if (!isWanted) return;
  const [path = ''] = (req.originalUrl ?? req.url ?? '').split('?');
  trail.note({
    who:
      answered.who ??
      access?.whoNow(credentialOf(req.headers.authorization, req.socket)) ??
      'nobody',
    from: req.socket.remoteAddress ?? '',
    ...{ action: rule ?? 'none', resource: `${req.method ?? ''} ${path}`, status, requestId },
  });
}

/** Refused before anybody looked for a route. */
export function auditRefusal(edge: Edge, req: IncomingMessage, error: AppError): void {
  if (edge.audit === null) return;
  const status = ERRORS[error.code].http;
  audit(edge, { req, rule: null, who: null, status, requestId: requestIdOf(edge, req) });
}

/** Also drawing a token: it is a credential. */
function isAdministrative(rule: RouteRule | null): boolean {
  if (rule === 'known' || rule === 'index:write') return true;
  return rule?.startsWith('admin:') === true || rule?.startsWith('identity:') === true;
}
