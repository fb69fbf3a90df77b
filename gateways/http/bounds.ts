/** Bounds of the listener that no other part of the program needs. Tests tighten some of them. */
export const HTTP_BOUNDS = Object.freeze({
  /** Connections served fully; beyond it only health checks are answered. */
  connectionsMax: 10_000,
  /** Connections beyond connectionsMax that are still accepted, for health checks. */
  connectionsReserve: 64,
  /** Requests of one connection that are being answered at once. */
  pipelinedMax: 128,
  /** From the first byte of a request (or the connection's start) to the end of its headers. */
  headersMs: 8_000,
  /** How often unfinished headers are looked for. */
  headersCheckMs: 1_000,
  keepAliveMs: 15_000,
  /** In each such window a body must bring at least bodyWindowBytesMin, or end. */
  bodyWindowMs: 4_000,
  bodyWindowBytesMin: 512,
  /** Bytes of refused bodies that are read and dropped so that the client can see the refusal. */
  bodyDropBytesMax: 8 * 1024 * 1024,
  /** Request bodies held in memory at once, over all connections. */
  bodyBytesHeldMax: 256 * 1024 * 1024,
  /** Results of batches held at once, from when they are read until their connection has taken them. */
  answerBytesHeldMax: 128 * 1024 * 1024,
  /** Silence on a watch before a comment or a ping is sent. */
  heartbeatMs: 15_000,
  /** How long a watch's reader may leave its socket full before the connection is closed. */
  stallMs: 30_000,
  /** How long an opening watch waits to see whether its resume point is still there. */
  resumeCheckMs: 150,
  /** Frames a WebSocket client may send per second; it has nothing to say but pings. */
  clientFramesPerSecondMax: 100,
  clientFrameBytesMax: 64 * 1024,
  /** Text gathered before it is written to a stream. */
  streamChunkChars: 32 * 1024,
  /** On close: how long requests in progress may take. */
  drainMs: 5_000,
});

export type HttpBounds = { readonly [K in keyof typeof HTTP_BOUNDS]: number };
