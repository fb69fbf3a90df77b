import { CODEC_NAMES } from '../storage/kv/codecs.ts';
import type { CompressionRule } from '../storage/kv/value-compression.ts';

/** `lz4`, or `logs/=zstd`, or `logs/raw/=none`; null: that is something else. */
export function compressionRule(text: string): CompressionRule | null {
  const at = text.lastIndexOf('=');
  const name = text.slice(at + 1);
  const prefix = at < 0 ? '' : text.slice(0, at);
  if (name === 'none') return { prefix, codec: null };
  const codec = CODEC_NAMES.find((known) => known === name);
  return codec === undefined ? null : { prefix, codec };
}
