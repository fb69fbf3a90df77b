import type { AuthSetting } from '../gateways/identity/auth-setting.ts';
import type { Telemetry } from '../observability/port.ts';
import type { Clock } from '../protocol/clock.ts';
import { AppError } from '../protocol/errors.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { NodeEdge } from './node-edge.ts';

/** A node that asks nobody looks so often whether the cluster has come to ask. */
export const AUTH_LOOK_MS = 5_000;
const RETRY_MS = 200;

export interface AgreementParts {
  readonly setting: AuthSetting;
  readonly clock: Pick<Clock, 'after'>;
  readonly log: Telemetry['log'];
  /** Whether the node is being stopped. */
  readonly isStopping: () => boolean;
}

export const NOT_AGREED =
  'this cluster asks for credentials: start this node with auth (--auth), as the others, or have an administrator say PUT /admin/auth {"required": false}';

/**
 * Opens a node's edge as the cluster has agreed: one that asks for credentials says so for all, one that does not opens
 * when it knows that it may, and closes when it may no more. Resolves when it serves; rejects where it may not.
 */
export async function openAgreed(
  parts: AgreementParts,
  isAsking: boolean,
  edge: NodeEdge,
  onOpen: () => void,
): Promise<void> {
  if (!isAsking && !(await checkOpen(parts))) return;
  edge.open();
  onOpen();
  if (!isAsking) watchOpen(parts, (why) => edge.close(why));
  await edge.ready();
  if (isAsking) await declareAuth(parts);
}

/** Says that the cluster asks for credentials; as long as it takes to be heard. */
export async function declareAuth(parts: AgreementParts): Promise<void> {
  const ctx = { deadlineMs: LIMITS.requestDeadlineMsDefault, traceparent: null, idempotency: null };
  await untilAnswered(parts, () => parts.setting.setRequired(ctx, true));
}

/** True: the cluster has said that it asks nobody; false: the node is being stopped. Rejects where it asks for credentials. */
export async function checkOpen(parts: AgreementParts): Promise<boolean> {
  const isRequired = await untilAnswered(parts, () =>
    parts.setting.isRequired(LIMITS.requestDeadlineMsDefault),
  );
  if (isRequired === true) throw new AppError('unauthenticated', NOT_AGREED);
  return isRequired === false;
}

/** Looks from time to time; calls `close` once, when the cluster has come to ask for credentials. */
export function watchOpen(parts: AgreementParts, close: (why: AppError) => void): void {
  const { setting, clock, log, isStopping } = parts;
  const look = async (): Promise<void> => {
    if (isStopping()) return;
    // A node that cannot ask serves nobody but those who want stale answers.
    const isRequired = await setting.isRequired(AUTH_LOOK_MS).catch(ignoreRefusal);
    if (isRequired !== true) {
      clock.after(AUTH_LOOK_MS, () => void look());
      return;
    }
    const why = new AppError('unavailable', NOT_AGREED);
    log('error', 'this node serves nobody any more', { error: why });
    close(why);
  };
  clock.after(AUTH_LOOK_MS, () => void look());
}

/** Undefined: the node is being stopped. */
async function untilAnswered<T>(
  { clock, isStopping }: AgreementParts,
  ask: () => Promise<T>,
): Promise<T | undefined> {
  while (!isStopping()) {
    try {
      return await ask();
    } catch (error) {
      ignoreRefusal(error);
      await new Promise<void>((resolve) => clock.after(RETRY_MS, () => resolve()));
    }
  }
  return undefined;
}

function ignoreRefusal(error: unknown): undefined {
  if (!(error instanceof AppError)) throw error;
  return undefined;
}
