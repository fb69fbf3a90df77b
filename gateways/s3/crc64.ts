import { createCRC64 } from 'hash-wasm';

/** CRC-64/NVME, reflected. */
const POLYNOMIAL = '9a6c9329ac4bc9b5';

/** One WebAssembly instance for all streams: they take turns, so none costs memory of its own. */
const engine = await createCRC64(POLYNOMIAL);
let owner: Crc64Nvme | null = null;

/** CRC64NVME of a stream. The only door to hash-wasm. */
export class Crc64Nvme {
  /** The engine's state while another stream has it; null: nothing taken yet. */
  #state: Uint8Array | null = null;

  update(bytes: Uint8Array): void {
    this.#takeEngine();
    engine.update(bytes);
  }

  /** Eight bytes, big-endian. Ends the stream. */
  digest(): Buffer {
    this.#takeEngine();
    owner = null;
    return Buffer.from(engine.digest('binary'));
  }

  #takeEngine(): void {
    if (owner === this) return;
    if (owner !== null) owner.#state = engine.save();
    if (this.#state === null) engine.init();
    else engine.load(this.#state);
    owner = this;
  }
}
