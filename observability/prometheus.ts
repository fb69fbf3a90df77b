import { ValueType } from '@opentelemetry/api';
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  type CollectionResult,
  type DataPoint,
  DataPointType,
  type MetricData,
  type MetricProducer,
} from '@opentelemetry/sdk-metrics';
import type { Point, Series, SeriesTable } from './series.ts';

/** Loaded at the first scrape. The door to OpenTelemetry's metrics and the Prometheus exporter. */

export interface MetricSource {
  readonly table: SeriesTable;
  readonly resource: Readonly<Record<string, string>>;
  readonly startedWallMs: number;
  wallMs(): number;
}

type HrTime = [number, number];

/** The table as an OpenTelemetry MetricProducer: any metric reader or exporter can take it. */
export function metricProducer(source: MetricSource): MetricProducer {
  const resource = resourceFromAttributes({ ...source.resource });
  return {
    async collect(): Promise<CollectionResult> {
      const span: TimeSpan = {
        startTime: hrTime(source.startedWallMs),
        endTime: hrTime(source.wallMs()),
      };
      const metrics = source.table.all().map((series) => metricData(series, span));
      return {
        resourceMetrics: { resource, scopeMetrics: [{ scope: { name: 'minikv' }, metrics }] },
        errors: [],
      };
    },
  };
}

/** The Prometheus text format (version 0.0.4). The exporter's own listener is never started. */
export async function prometheusText(producer: MetricProducer): Promise<string> {
  const serializer = new PrometheusSerializer('minikv', false, undefined, false, true);
  const { resourceMetrics } = await producer.collect();
  return serializer.serialize(resourceMetrics);
}

interface TimeSpan {
  readonly startTime: HrTime;
  readonly endTime: HrTime;
}

function hrTime(wallMs: number): HrTime {
  return [Math.floor(wallMs / 1000), Math.round((wallMs % 1000) * 1e6)];
}

function metricData(series: Series, span: TimeSpan): MetricData {
  const base = {
    descriptor: {
      name: series.name,
      description: series.row.help,
      unit: '',
      valueType: ValueType.DOUBLE,
    },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  const points = [...series.points.values()];
  switch (series.row.kind) {
    case 'counter':
      return {
        ...base,
        dataPointType: DataPointType.SUM,
        isMonotonic: true,
        dataPoints: points.map((point) => number(point, span)),
      };
    case 'gauge':
      return {
        ...base,
        dataPointType: DataPointType.GAUGE,
        dataPoints: points.map((point) => number(point, span)),
      };
    case 'histogram':
      return {
        ...base,
        dataPointType: DataPointType.HISTOGRAM,
        dataPoints: points.map((point) => histogram(point, span)),
      };
  }
}

function number(point: Point, span: TimeSpan): DataPoint<number> {
  return { ...span, attributes: point.labels, value: point.value };
}

function histogram(
  point: Point,
  span: TimeSpan,
): Extract<MetricData, { dataPointType: DataPointType.HISTOGRAM }>['dataPoints'][number] {
  const { bounds, counts, sum, count } = point.histogram!;
  return {
    ...span,
    attributes: point.labels,
    value: { buckets: { boundaries: [...bounds], counts: [...counts] }, sum, count },
  };
}
