import type { BlobMessage } from '../../protocol/messages/blob.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import type { ReceivedByDisk } from './receiving-disk.ts';
import type { ReadByDisk } from './serving-disk.ts';

/** What reaches a node's transfers: messages of other nodes, and what its own disk has done. */
export type BlobCommand =
  | { readonly type: 'message'; readonly from: ReplicaId; readonly message: BlobMessage }
  | ReceivedByDisk
  | ReadByDisk;
