import { type Formation, formationCodec } from '../protocol/messages/node.ts';
import { parseNodeId } from '../protocol/types.ts';
import { crc32c } from './checksum.ts';
import type { Disk } from './disk/port.ts';
import type { Identity } from './ports.ts';

export const IDENTITY_PATH = 'identity.json';
const FORMAT = 1;
const INCARNATION = /^[0-9a-f]{8,16}$/;

/** 'absent': an empty folder. 'damaged': the folder was in use, and who it was cannot be told. */
export type LoadedIdentity =
  | { readonly state: 'absent' }
  | { readonly state: 'damaged'; readonly reason: string }
  /** Whole, in a format of another version of minikv. */
  | { readonly state: 'foreign'; readonly format: number }
  | { readonly state: 'valid'; readonly identity: Identity };

/** Replaces the identity; after a crash the old or the new one is there. Rejects with DiskError. */
export async function saveIdentity(disk: Disk, identity: Identity): Promise<void> {
  const body = JSON.stringify({ v: FORMAT, ...identity });
  const file = `{"crc32c":"${checksum(body)}","identity":${body}}\n`;
  await disk.writeFileAtomic(IDENTITY_PATH, Buffer.from(file, 'utf8'));
}

/** Reads the identity file. Damage is an answer; only a failing disk rejects (DiskError). */
export async function loadIdentity(disk: Disk): Promise<LoadedIdentity> {
  const file = await disk.readFile(IDENTITY_PATH);
  if (file === null) return { state: 'absent' };
  const text = Buffer.from(file).toString('utf8');
  const parts = /^\{"crc32c":"([0-9a-f]{8})","identity":(.*)\}\n$/s.exec(text);
  const body = parts?.[2];
  if (body === undefined) return damaged('it is not an identity file');
  if (parts?.[1] !== checksum(body)) return damaged('its checksum does not match');
  const raw = JSON.parse(body) as Record<string, unknown>;
  const { v } = raw;
  if (typeof v === 'number' && v !== FORMAT) return { state: 'foreign', format: v };
  const identity = parseIdentity(raw);
  return identity === null ? damaged('its fields are not valid') : { state: 'valid', identity };
}

function parseIdentity(raw: Record<string, unknown>): Identity | null {
  const { v, nodeId, incarnation, formation, born, cluster } = raw;
  const id = typeof nodeId === 'string' ? parseNodeId(nodeId) : null;
  if (v !== FORMAT || id === null) return null;
  if (typeof incarnation !== 'string' || !INCARNATION.test(incarnation)) return null;
  if (typeof born !== 'boolean') return null;
  if (formation !== null && !isFormation(formation)) return null;
  if (cluster === undefined) return { nodeId: id, incarnation, formation, born };
  return typeof cluster === 'string' ? { nodeId: id, incarnation, formation, born, cluster } : null;
}

function isFormation(raw: unknown): raw is Formation {
  if (typeof raw !== 'object' || raw === null) return false;
  try {
    formationCodec.unpack(formationCodec.pack(raw as Formation));
    return true;
  } catch {
    return false; // the only question was whether it has the shape
  }
}

function damaged(reason: string): LoadedIdentity {
  return { state: 'damaged', reason: `${IDENTITY_PATH}: ${reason}` };
}

function checksum(text: string): string {
  return crc32c(Buffer.from(text, 'utf8')).toString(16).padStart(8, '0');
}
