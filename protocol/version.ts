import { assert } from './assert.ts';

/**
 * Version of the messages between nodes. History, one line per bump:
 * 1: 2026-11, first messages.
 */
export const PROTOCOL_VERSION = 1;
/** Oldest version still decoded. */
export const PROTOCOL_VERSION_FLOOR = 1;

assert(PROTOCOL_VERSION_FLOOR <= PROTOCOL_VERSION, 'the protocol floor is below the version');
