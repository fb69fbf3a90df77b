import type { ReplyBody } from '../../protocol/messages/request.ts';

/** Replies of requests that change nothing: whatever they hold, they can be refused for certain. */
const READ_REPLIES: ReadonlySet<ReplyBody['type']> = new Set([
  ...(['Items', 'Page', 'Feed', 'MetaRows', 'IndexPage', 'AttachedKeys', 'Leases'] as const),
  ...(['ObjectFound', 'ObjectPage', 'UploadPage', 'PartPage'] as const),
  ...(['MetaChecked', 'MetaListed'] as const),
]);

/** To a request that no message can hold. */
export function requestTooLarge(): ReplyBody {
  return tooLarge('the request is larger than a message may be');
}

/** In place of a reply that no message can hold. What a write has done is done, and cannot be told. */
export function insteadOf(reply: ReplyBody): ReplyBody {
  const message = 'the answer is larger than a message may be';
  if (READ_REPLIES.has(reply.type)) return tooLarge(message);
  const rest = { definite: false, leader: null, hint: 0 };
  return { type: 'Rejected', code: 'outcome_unknown', message, ...rest };
}

function tooLarge(message: string): ReplyBody {
  const rest = { definite: true, leader: null, hint: 0 };
  return { type: 'Rejected', code: 'too_large', message, ...rest };
}
