/** A reader for the few fields of ExportTraceServiceRequest (OTLP 1.x) that the tests look at. */
export interface WireSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  /** `key=value` each. */
  readonly attributes: readonly string[];
  /** 0 unset, 1 ok, 2 error. */
  readonly statusCode: number;
}

interface Field {
  readonly number: number;
  readonly value: number;
  readonly bytes: Buffer;
}

/** Fields of one protobuf message; fixed-width values are skipped. */
function fieldsOf(bytes: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const kind = tag & 7;
    if (kind === 0) fields.push({ number: tag >> 3, value: varint(), bytes: Buffer.alloc(0) });
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else if (kind === 2) {
      const length = varint();
      fields.push({ number: tag >> 3, value: 0, bytes: bytes.subarray(at, at + length) });
      at += length;
    } else throw new Error(`wire type ${kind}`);
  }
  return fields;
}

const parts = (bytes: Buffer, number: number): Buffer[] =>
  fieldsOf(bytes)
    .filter((field) => field.number === number)
    .map((field) => field.bytes);

function attribute(bytes: Buffer): string {
  const key = parts(bytes, 1)[0]?.toString() ?? '';
  const value = fieldsOf(parts(bytes, 2)[0] ?? Buffer.alloc(0))[0];
  return `${key}=${value?.number === 1 ? value.bytes.toString() : value?.value}`;
}

export function decodeSpans(body: Buffer): { spans: WireSpan[]; resource: string[] } {
  const resourceSpans = parts(body, 1);
  const resource = resourceSpans
    .flatMap((part) => parts(part, 1))
    .flatMap((part) => parts(part, 1).map(attribute));
  const spans = resourceSpans
    .flatMap((part) => parts(part, 2))
    .flatMap((part) => parts(part, 2))
    .map((span) => ({
      traceId: parts(span, 1)[0]?.toString('hex') ?? '',
      spanId: parts(span, 2)[0]?.toString('hex') ?? '',
      parentSpanId: parts(span, 4)[0]?.toString('hex') ?? '',
      name: parts(span, 5)[0]?.toString() ?? '',
      attributes: parts(span, 9).map(attribute),
      statusCode:
        fieldsOf(parts(span, 15)[0] ?? Buffer.alloc(0)).find((field) => field.number === 3)
          ?.value ?? 0,
    }));
  return { spans, resource };
}
