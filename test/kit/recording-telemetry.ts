import { type Labels, NO_TELEMETRY, type Telemetry } from '../../observability/port.ts';

/** Telemetry that remembers counts and log lines. */
export interface RecordingTelemetry extends Telemetry {
  /** Sum of a counter over all label sets that contain `labels`. */
  total(name: string, labels?: Labels): number;
  readonly lines: readonly {
    readonly level: string;
    readonly message: string;
    readonly fields: Labels;
  }[];
}

export function recordingTelemetry(): RecordingTelemetry {
  const counts: { name: string; by: number; labels: Labels }[] = [];
  const lines: { level: string; message: string; fields: Labels }[] = [];
  const count: Telemetry['count'] = (name, by = 1, labels = {}) => {
    counts.push({ name, by, labels });
  };
  return {
    ...NO_TELEMETRY,
    count,
    counterOf: (name, labels) => (by) => count(name, by, labels),
    log: (level, message, fields = {}) => {
      lines.push({ level, message, fields: fields as Labels });
    },
    lines,
    total: (name, labels = {}) => {
      const wanted = Object.entries(labels);
      const matches = counts.filter(
        (row) => row.name === name && wanted.every(([label, value]) => row.labels[label] === value),
      );
      return matches.reduce((sum, row) => sum + row.by, 0);
    },
  };
}
