import { pino } from 'pino';
import type { LogLevel } from './port.ts';
import { parseTraceparent } from './traceparent.ts';

/** The door to pino. One JSON object per line; times are ISO 8601; errors keep stack and cause. */

export type LogFields = Readonly<Record<string, unknown>>;
export type WriteLog = (level: LogLevel, message: string, fields?: LogFields) => void;

export interface LogOptions {
  readonly level: LogLevel | 'silent';
  readonly format: 'json' | 'text';
  /** On every line, e.g. `{ node: 'n1' }`. */
  readonly base: Readonly<Record<string, string>>;
  /** Takes whole lines, newline included. Must not throw. */
  write(line: string): void;
}

/** Fields named `traceparent` become `trace_id` and `span_id`, so that a line leads to its trace. */
export function openLog(options: LogOptions): WriteLog {
  const stream =
    options.format === 'json'
      ? { write: options.write }
      : { write: (line: string) => options.write(textLine(line)) };
  const logger = pino(
    {
      level: options.level,
      base: options.base,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: pino.stdSerializers.errWithCause },
    },
    stream,
  );
  return (level, message, fields) => {
    if (!logger.isLevelEnabled(level)) return;
    if (fields === undefined) logger[level](message);
    else logger[level](withTraceIds(fields), message);
  };
}

function withTraceIds(fields: LogFields): LogFields {
  const { traceparent, ...rest } = fields;
  if (traceparent === undefined) return fields;
  const parent = typeof traceparent === 'string' ? parseTraceparent(traceparent) : null;
  return parent === null ? rest : { ...rest, trace_id: parent.traceId, span_id: parent.spanId };
}

/** For people: `12:00:01 warn  message key=value`, and a stack below. */
function textLine(line: string): string {
  const {
    time,
    level,
    msg,
    error,
    node: _node,
    ...rest
  } = JSON.parse(line) as {
    time: string;
    level: string;
    msg?: string;
    error?: { stack?: string; message?: string };
  } & Record<string, unknown>;
  const fields = Object.entries(rest)
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
  const head = `${time.slice(11, 19)} ${level.padEnd(5)} ${msg ?? ''}`;
  const stack = error === undefined ? '' : `\n${error.stack ?? error.message ?? ''}`;
  return `${fields === '' ? head : `${head} ${fields}`}${stack}\n`;
}
