import { isDenial } from '../../protocol/audit.ts';
import type { EdgeRequest, EdgeResponse } from '../http/exchange.ts';
import { requestIdOf } from '../http/raw-answer.ts';
import { refusalHeaders } from '../limits/headers.ts';
import type { Meters } from '../limits/rate-limits.ts';
import { websiteOf } from './address.ts';
import type { Answer } from './answer.ts';
import { checkBucketName } from './bucket-name.ts';
import { Call, noSuchBucket } from './call.ts';
import { corsHeaders, preflight } from './cors-answers.ts';
import type { Mount, S3Edge } from './edge.ts';
import { hasErrorBody, renderError, type S3Error, s3ErrorOf } from './errors.ts';
import { HANDLERS } from './handlers.ts';
import { checkOrigin, nobody, senderOf, visitor } from './identity.ts';
import { metersOfCall } from './limits.ts';
import { type AnswerTimes, logAccess } from './logged-request.ts';
import { isHidden, senderTo } from './named-tenant.ts';
import { bringsKey, checkLink } from './object-encryption.ts';
import { objectKeyOf } from './object-key.ts';
import type { Operation } from './operations.ts';
import { checkMay } from './permissions.ts';
import { RequestBody } from './request-body.ts';
import { routeOf } from './route.ts';
import { sendAnswer } from './send-answer.ts';
import { websiteAnswer } from './website-page.ts';

const DENIED = 403;

/** Answers S3 requests, whichever listener they came in by. */
export class S3Gateway {
  readonly #edge: S3Edge;

  constructor(edge: S3Edge) {
    this.#edge = edge;
  }

  /** Never rejects. */
  async handle(req: EdgeRequest, res: EdgeResponse, mount: Mount): Promise<void> {
    const { http } = this.#edge;
    const requestId = requestIdOf(http, req);
    const startedMs = http.traffic.begin();
    const request = new Request(this.#edge, { req, res, mount });
    res.once('close', () => {
      const route = http.traffic.route(`s3 ${request.operation}`);
      http.traffic.end(startedMs, req.method ?? '', route, res.statusCode);
    });
    const answer = await request.answer(requestId);
    request.audit(answer, requestId);
    const isHead = req.method === 'HEAD';
    try {
      const isLast = !request.finish();
      const turnAroundMs = http.clock.monotonicMs() - startedMs;
      const { meters } = request;
      await sendAnswer(this.#edge, res, answer, { requestId, isLast, isHead, meters });
      await request.log(answer, { requestId, startedMs, turnAroundMs });
    } catch (error) {
      // The head is out: that the connection breaks is all that can be told.
      http.telemetry.log('warn', 'an S3 answer broke off', { requestId, error });
      res.destroy();
    }
  }
}

class Request {
  readonly #edge: S3Edge;
  readonly #req: EdgeRequest;
  readonly #res: EdgeResponse;
  readonly #mount: Mount;
  #body: RequestBody | null = null;
  #call: Call | null = null;
  #errorCode: string | null = null;
  operation: Operation | 'website' | 'none' = 'none';
  /** What counts it; null: it is not limited, or refused for a limit. */
  meters: Meters | null = null;

  constructor(
    edge: S3Edge,
    parts: { readonly req: EdgeRequest; readonly res: EdgeResponse; readonly mount: Mount },
  ) {
    this.#edge = edge;
    this.#req = parts.req;
    this.#res = parts.res;
    this.#mount = parts.mount;
  }

  async answer(requestId: string): Promise<Answer> {
    const site = websiteOf(this.#req.headers.host ?? '', this.#mount.endpoint);
    if (site !== null) return this.#page(site, requestId);
    let call: Call | null = null;
    let answer: Answer;
    try {
      call = await this.#read(requestId);
      this.#call = call;
      this.#count(call);
      answer = await this.#run(call);
    } catch (error) {
      if (call !== null && isHidden(call, error)) {
        return this.#refusal(noSuchBucket(call.route.bucket), requestId);
      }
      answer = this.#refusal(error, requestId);
    }
    const cors = call === null ? [] : await corsHeaders(call, this.#req.method ?? '');
    return cors.length === 0 ? answer : { ...answer, headers: [...answer.headers, ...cors] };
  }

  async #read(requestId: string): Promise<Call> {
    const { url = '', method = '' } = this.#req;
    const edge = this.#edge;
    const isPreflight = method === 'OPTIONS';
    const sender = isPreflight ? nobody(this.#req) : await senderOf(edge, this.#req);
    const body = new RequestBody(edge, this.#req, this.#res, sender);
    this.#body = body;
    const headers = isPreflight ? this.#req.headers : Object.fromEntries(sender.headers);
    const route = routeOf({ method, url, headers }, this.#mount.endpoint);
    this.operation = route.operation;
    const remoteAddress = () => this.#req.socket.remoteAddress ?? '';
    const rest = { route, body, remoteAddress, requestId };
    const to = await senderTo(edge, method, route, sender);
    return new Call({ edge, mount: this.#mount, sender: to, ...rest });
  }

  /** Of a website: reading only, by nobody. */
  async #page(bucket: string, requestId: string): Promise<Answer> {
    this.operation = 'website';
    const [path = ''] = (this.#req.url ?? '').split('?');
    const sender = visitor(this.#req);
    const body = new RequestBody(this.#edge, this.#req, this.#res, sender);
    this.#body = body;
    try {
      checkBucketName(bucket);
      const key = objectKeyOf(path.slice(1));
      const operation = this.#req.method === 'HEAD' ? 'HeadObject' : 'GetObject';
      const route = { operation, bucket, key, query: new Map(), versionId: null } as const;
      const remoteAddress = () => sender.address ?? '';
      const [edge, mount] = [this.#edge, this.#mount];
      const rest = { route, sender, body, remoteAddress, requestId };
      const call = new Call({ edge, mount, ...rest });
      this.#call = call;
      this.#count(call);
      const tell = (error: S3Error) => this.#tell(error, requestId);
      return await websiteAnswer({ call, req: this.#req, requestId, tell });
    } catch (error) {
      return this.#refusal(error, requestId);
    }
  }

  /** Throws `rate_limited`. A preflight is the browser's. */
  #count(call: Call): void {
    if (call.route.operation === 'OptionsObject') return;
    const meters = metersOfCall(call);
    if (meters === null) return;
    const refusal = meters.admit(0);
    const { refusedLinks } = this.#edge.http;
    if (refusal !== null) {
      refusedLinks.refused(this.#req.socket, meters.standing());
      throw refusal;
    }
    refusedLinks.served(this.#req.socket);
    this.meters = meters;
    call.body.meters = meters;
  }

  async #run(call: Call): Promise<Answer> {
    if (call.route.operation === 'OptionsObject') return preflight(call, this.#req.headers);
    const hasOrigin = this.#req.headers.origin !== undefined;
    // A form is signed inside: its handler looks at its origin.
    const isForm = call.route.operation === 'PostObject';
    const isAllowed = hasOrigin && (await corsHeaders(call, this.#req.method ?? '')).length > 0;
    if (!isForm) checkOrigin(this.#edge, this.#req, call.sender, isAllowed);
    await checkMay(call);
    if (bringsKey(call.sender.headers)) checkLink(call);
    return HANDLERS[call.route.operation](call);
  }

  #refusal(thrown: unknown, requestId: string): Answer {
    const error = s3ErrorOf(thrown);
    this.#tell(error, requestId);
    const headers = [...error.headers, ...refusalHeaders(error.cause)];
    if (error.retryAfterMs !== null) {
      headers.push(['retry-after', String(Math.ceil(error.retryAfterMs / 1000))]);
    }
    const { method = '', url = '' } = this.#req;
    if (!hasErrorBody(method, error.status)) return { status: error.status, headers, body: null };
    const [resource = ''] = url.split('?');
    const body = renderError(error, { resource, requestId, hostId: requestId });
    return {
      status: error.status,
      headers: [['content-type', 'application/xml'], ...headers],
      body,
    };
  }

  /** Logs flaws of ours only: what clients do wrong they are told themselves. */
  #tell(error: S3Error, requestId: string): void {
    this.#errorCode = error.code;
    if (error.code !== 'InternalError') return;
    const { operation } = this;
    this.#edge.http.telemetry.log('error', 'an S3 request failed', {
      ...{ requestId, operation, error: error.cause ?? error },
    });
  }

  /** Changes of buckets, and what is denied, are written down; the rest where data is. */
  audit({ status, deniedKeys = [] }: Answer, requestId: string): void {
    const { audit } = this.#edge.http;
    if (audit === null) return;
    const { method = '', url = '', socket } = this.#req;
    const { route, who } = this.#call ?? { route: null, who: null };
    const note = (resource: string, was: number): void =>
      audit.note({
        who: who === null ? 'nobody' : `s3:${who.userName ?? 'account'}`,
        from: socket.remoteAddress ?? '',
        ...{ action: `s3:${this.operation}`, resource, status: was, requestId },
      });
    for (const key of deniedKeys) note(`${route?.bucket}/${key}`, DENIED);
    const isOfBucket = route !== null && route.bucket !== '' && route.key === '';
    const isAdministrative = isOfBucket && (method === 'PUT' || method === 'DELETE');
    if (!isDenial(status) && !isAdministrative && !audit.hasData) return;
    const [path = ''] = url.split('?');
    const key = route?.key === '' ? '' : `/${route?.key}`;
    note(route === null ? `${method} ${path}` : `${route.bucket}${key}`, status);
  }

  /** Where the bucket that it was about keeps an access log. */
  async log(answer: Answer, times: AnswerTimes): Promise<void> {
    if (this.#call === null || this.operation === 'none') return;
    const asked = { operation: this.operation, errorCode: this.#errorCode, req: this.#req };
    await logAccess(this.#call, answer, { ...asked, ...times });
  }

  /** False where the connection has to end with the answer. */
  finish(): boolean {
    if (this.#body !== null) return this.#body.finish();
    return !this.#req.awaitsContinue;
  }
}
