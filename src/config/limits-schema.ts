import * as z from 'zod'
import { duration, integer, later, size } from './fields.ts'

export const DAY = 86_400_000
export const HOUR = 3_600_000
const MINUTE = 60_000

/** A duration with its default. */
const time = (fallback: string, minimumMs: number, maximumMs: number, meaning: string) =>
  duration(minimumMs, maximumMs).describe(meaning).prefault(fallback)
/** A whole number with its default. */
export const count = (fallback: number, minimum: number, maximum: number, meaning: string) =>
  integer(minimum, maximum).describe(meaning).prefault(fallback)
/** A size with its default. */
export const bytes = (fallback: string, minimum: number, maximum: number, meaning: string) =>
  size(minimum, maximum).describe(meaning).prefault(fallback)

const KIB = 1024
export const MIB = 1024 * KIB

/** `limits` of tollgate.yaml: every bound and timeout, with the defaults that the guarantees are measured at. */
export const limits = z.strictObject({
  headers_timeout: time('10s', 100, HOUR, 'time for a request’s header block'),
  request_timeout: time('60s', 100, DAY, 'time for the body of a request, once its headers are there'),
  file_timeout: time('15m', 100, DAY, 'the same where the body is a file: uploads of files, and their parts'),
  keep_alive: time('65s', 0, HOUR, 'time an idle client connection stays open'),
  requests_per_socket: count(1000, 1, 1_000_000_000, 'requests a client connection serves before it is closed'),
  header_bytes: bytes('16KiB', KIB, MIB, 'size of a request’s header block'),
  header_count: count(200, 10, 10_000, 'number of headers of a request'),
  path_bytes: bytes('4KiB', 64, 64 * KIB, 'size of a request’s path and query'),
  connections: count(10_000, 1, 1_000_000, 'client connections at once, a worker'),
  connections_per_address: integer(1, 1_000_000)
    .describe('client connections of one address at once; left out: no limit')
    .optional(),
  body_bytes: bytes('32MiB', KIB, 512 * MIB, 'size of a request body'),
  file_bytes: bytes('256MiB', KIB, 8192 * MIB, 'size of a file or another body that passes as it comes'),
  batch_line_bytes: bytes('8MiB', KIB, 512 * MIB, 'size of one line of a file that a batch is made of'),
  json_depth: count(128, 4, 10_000, 'nesting of a JSON body'),
  upstream_connect_timeout: time('5s', 10, 10 * MINUTE, 'time to connect to an upstream'),
  upstream_first_byte_timeout_stream: time('120s', 10, DAY, 'time to the first byte of a streamed answer'),
  upstream_first_byte_timeout_json: time('10m', 10, DAY, 'time to the first byte of a JSON answer'),
  upstream_idle_timeout: time('120s', 10, DAY, 'silence of an upstream in the middle of an answer'),
  upstream_total_timeout: time('15m', 10, DAY, 'time of a whole call at an upstream'),
  redis_command_timeout: time(
    '300ms',
    10,
    MINUTE,
    'time for one Redis command (10s at least where js-redis-server stands in); after it the outcome is unknown and asked for again',
  ),
  redis_connect_timeout: time('1s', 10, MINUTE, 'time to connect to Redis'),
  redis_breaker_failures: count(
    5,
    1,
    10_000,
    'failures within redis_breaker_window after which calls are refused at once',
  ),
  redis_breaker_window: time('1s', 10, HOUR, 'window in which Redis failures are counted'),
  redis_probe_interval: time('500ms', 10, HOUR, 'time between probes of a Redis that is away'),
  hold_deadline: time('120s', 1000, DAY, 'age of a hold without a sign of life after which it times out'),
  checkpoint_every: time('30s', 100, DAY, 'time between signs of life of an open call'),
  job_deadline: time(
    '26h',
    1000,
    30 * DAY,
    'age at which a call that goes on after its answer (background, batch) is charged whole if its end is not known',
  ),
  job_late_window: time('7d', HOUR, 30 * DAY, 'time after that in which its end still counts'),
  poll_first: time('2s', 100, HOUR, 'time after which an upstream is first asked how such a call stands'),
  poll_most: time('60s', 100, DAY, 'longest time between two such questions'),
  polls_per_upstream: count(4, 1, 1000, 'such questions to one upstream at once'),
  webhook_timeout: time('15s', 10, 10 * MINUTE, 'time of one post to a receiver of events'),
  webhook_retry_first: time('5s', 10, HOUR, 'time after which an event is posted again; doubled after each failure'),
  webhook_retry_most: time('1h', 10, DAY, 'longest time between two posts of an event'),
  webhook_retry_for: time(
    '3d',
    1000,
    30 * DAY,
    'time after which an event that its receiver does not take is given up',
  ),
  webhook_lease: time(
    '15s',
    100,
    10 * MINUTE,
    'time after which another gateway goes on with the events of one that died',
  ),
  webhook_connections: count(16, 1, 1000, 'posts to one receiver at once'),
  drains: count(64, 0, 1_000_000, 'answers read on at once after their clients have gone'),
  drain_bytes: bytes('8MiB', 0, 1024 * MIB, 'bytes read of one answer after its client has gone'),
  grace: time('30s', 0, DAY, 'time for open calls to end after SIGTERM'),
  late_window: later(duration(MINUTE, 7 * DAY), '24h').describe(
    'time after a timeout in which the call’s own end still counts; 24h',
  ),
})
