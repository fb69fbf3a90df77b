/**
 * The catalogue: every metric this program may report, and nothing else. Exported names are
 * `minikv_` and the name here (counters gain `_total`); docs/metrics.md is made from it.
 * Labels are listed so that a series can never carry a key, a URL or any other unbounded text.
 */
export interface MetricRow {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** The only labels kept, in this order. */
  readonly labels?: readonly string[];
  /** Upper bounds in seconds, ascending; histograms only. Default: LATENCY_BUCKETS. */
  readonly buckets?: readonly number[];
}

/** Seconds. From a memory read to a request deadline. */
export const LATENCY_BUCKETS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
] as const;

/** Distinct label sets one metric may have; further ones share the series `overflow="true"`. */
export const SERIES_PER_METRIC_MAX = 256;

const counter = (help: string, ...labels: string[]): MetricRow => ({
  kind: 'counter',
  help,
  labels,
});
const gauge = (help: string, ...labels: string[]): MetricRow => ({ kind: 'gauge', help, labels });
const seconds = (help: string, ...labels: string[]): MetricRow => ({
  kind: 'histogram',
  help,
  labels,
});

export const METRICS = {
  // Edges
  http_requests: counter('HTTP requests answered.', 'method', 'route', 'status'),
  http_request_seconds: seconds('Time from a request to its answer.', 'method', 'route'),
  http_requests_in_flight: gauge('HTTP requests being answered now.'),
  http_connections: gauge('Open HTTP connections; of HTTP/2 each stream is one.'),
  tls_certificate_ends_seconds: gauge('When the certificate of the ports ends, Unix seconds.'),
  audit_records_lost: counter('Records of the audit trail that could not be written.'),
  tls_handshakes_failed: counter('Connections that did not come to speak TLS.'),
  http2_refused: counter('Heads and frames of HTTP/2 that were no requests.', 'what'),
  rate_limited: counter('Requests and watches refused for a limit.', 'limit', 'scope'),
  watchers: gauge('Open watches.', 'transport'),
  watch_events: counter('Events handed to watchers.', 'type'),
  watch_lagged: counter('Watches ended because their reader was too slow.'),
  s3_access_log_lines_lost: counter('Lines of access logs that were not delivered.'),
  // Operations
  request_retries: counter('Requests sent again inside the cluster.'),
  clocks_refused: counter('Clocks in requests from further ahead than clocks may differ.'),
  replies_late: counter('Replies that nobody waited for any more.'),
  requests_repeated: counter('Writes that the bus delivered again, dropped.'),
  feed_retries: counter('Pages of the change feed asked for again.'),
  lock_waits: counter('Requests that waited for a prepared transaction.', 'group'),
  txn_conflicts: counter('Attempts of transactions that met others in the way.', 'group'),
  txn_inquiries: counter('Questions of participants about the end of a transaction.', 'group'),
  expired_keys: counter('Keys removed because their time was over.', 'group'),
  buckets_finished: counter('Changes of buckets that were finished for another gateway.'),
  quota_shortages: counter('Writes that asked other groups for room in a quota.', 'group'),
  quota_counts: counter('Shares of quotas whose former contents were counted.', 'group'),
  quotas_finished: counter('Quotas that were put in force for another gateway.'),
  index_steps: counter('Steps of index backfills taken.', 'group'),
  leases_ended: counter('Leases whose end was applied by their leader.', 'why'),
  lease_keys_removed: counter('Keys removed with the leases they were attached to.'),
  blob_messages_dropped: counter('Messages of chunks that the bus did not take in time.'),
  blob_chunks_scrubbed: counter('Chunks that the scrubber has read.', 'state'),
  blob_chunks_mended: counter('Chunks that were missing or damaged here.', 'outcome'),
  blob_chunks_swept: counter('Chunks that nothing named any more, removed.'),
  blob_chunks_missing: gauge('Chunks that belong here and are not here yet.', 'group'),
  blob_chunks_lost: gauge('Chunks that belong here and that no node gives.', 'group'),
  blob_group_whole: gauge('1 where this voter has every chunk of the group, else 0.', 'group'),
  blob_bytes_written: counter('Bytes of objects that were written as chunks.'),
  lifecycle_passes: counter('Passes of lifecycle rules that began.', 'group'),
  lifecycle_looked: counter('Versions that lifecycle rules were held against.'),
  lifecycle_removed: counter('What lifecycle rules have taken away.', 'action'),
  notifications_sent: counter('Notifications that their target has taken.', 'target'),
  notifications_failed: counter('Attempts that a target did not take.', 'target'),
  notifications_outdated: counter('Notifications dropped because they waited too long.', 'target'),
  notifications_waiting: gauge('Notifications that wait, of groups led here.', 'target'),
  notifications_dropped: gauge(
    'Notifications ever dropped, for want of room or time, of groups led here.',
    'target',
  ),
  lifecycle_kept: counter('What was due and not taken away now.', 'reason'),
  applied_entries: counter('Log entries applied.'),
  apply_batch_seconds: seconds('Time one batch of entries took to apply.'),
  // Raft
  raft_term: gauge('Current term.', 'group'),
  raft_leader: gauge('1 where this node leads the group, else 0.', 'group'),
  raft_commit_index: gauge('Highest committed log index.', 'group'),
  raft_applied_index: gauge('Highest applied log index.', 'group'),
  raft_log_entries: gauge('Log entries kept.', 'group'),
  raft_elections_won: counter('Elections this node won.', 'group'),
  raft_leader_changes: counter('Times this node saw a new leader.', 'group'),
  raft_snapshots: counter('Raft snapshots, by what was done with them.', 'group', 'action'),
  // Actors
  actor_inbox_refused: counter('Commands refused because an inbox was full.', 'actor'),
  // Storage
  wal_syncs: counter('Syncs of the write-ahead log.'),
  wal_records: counter('Records appended to the write-ahead log.'),
  at_rest_data_keys: gauge(
    'Data keys of the encrypted folder: more than one until all is sealed under the newest.',
  ),
  at_rest_resealed: counter('Things that were sealed anew, under the newest data key.', 'place'),
  wal_bytes: gauge('Bytes of the write-ahead log kept.'),
  wal_sync_seconds: seconds('Time one sync of the write-ahead log took.'),
  state_memtable_bytes: gauge('Applied state not yet in the engine.'),
  keys: gauge('Live keys.', 'group'),
  key_bytes: gauge('Bytes of live keys and their values.', 'group'),
  objects: gauge('Current versions of objects.', 'group'),
  object_bytes: gauge(
    'Bytes of objects: of all versions, and of parts of unfinished uploads.',
    'group',
  ),
  bucket_objects: gauge(
    'Current versions of objects, of the groups this node leads: add up over nodes.',
    ...['tenant', 'bucket'],
  ),
  bucket_versions: gauge('Other versions and delete markers, likewise.', 'tenant', 'bucket'),
  bucket_bytes: gauge('Bytes of all versions and of parts, likewise.', 'tenant', 'bucket'),
  disk_free_bytes: gauge('Room on the disk of the data folder.'),
  disk_trouble: gauge('1 while the disk is in trouble.', 'kind'),
  storage_errors: counter('Faults of the disk or the engine.', 'part'),
  // Bus
  bus_connected: gauge('1 while the bus is connected, else 0.'),
  bus_messages_sent: counter('Payloads handed to the bus.', 'lane'),
  bus_bytes_sent: counter('Bytes handed to the bus.', 'lane'),
  bus_messages_received: counter('Payloads received.', 'lane'),
  bus_bytes_received: counter('Bytes received.', 'lane'),
  bus_messages_dropped: counter('Payloads dropped.', 'lane', 'reason'),
  bus_reconnects: counter('Times a connection of the bus was made again.', 'link'),
  bus_errors: counter('Faults of a connection of the bus.', 'link', 'kind'),
  bus_round_trip_seconds: seconds('Round trip to the message server.', 'link'),
  nats_requests: counter('Requests answered over NATS.', 'op', 'code'),
  envelopes_refused: counter('Envelopes counted and dropped at the door.', 'reason'),
  events_published: counter('Public change events published.'),
  events_dropped: counter('Public change events that waited too long for a transaction.', 'group'),
  peer_clock_offset_seconds: gauge("How far a peer's wall clock is ahead of ours.", 'peer'),
  // The process
  build_info: gauge('Always 1; the version is a label.', 'version'),
  uptime_seconds: gauge('Time since the process began.'),
  process_cpu_seconds: counter('Processor time used, user and system.'),
  process_resident_memory_bytes: gauge('Resident memory.'),
  process_heap_used_bytes: gauge('JavaScript heap in use.'),
  process_external_memory_bytes: gauge('Memory of buffers outside the heap.'),
  event_loop_delay_seconds: gauge('Delay of the event loop since the last scrape.', 'quantile'),
  // Telemetry itself
  log_lines: counter('Log lines written.', 'level'),
  telemetry_refused: counter('Reports dropped: a name outside the catalogue, or of another kind.'),
} as const satisfies Record<string, MetricRow>;

export type MetricName = keyof typeof METRICS;
