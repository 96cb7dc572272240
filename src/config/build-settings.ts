import { availableParallelism } from 'node:os'
import { dirname, resolve } from 'node:path'
import { buildIssuer } from './jwt-schema.ts'
import type { Settings, Upstream, UpstreamAuth } from './snapshot.ts'
import type { TollgateFile } from './tollgate-schema.ts'

/** Settings from a checked tollgate.yaml: absolute paths, defaults by format, times in milliseconds. */
export function buildSettings(file: string, read: TollgateFile): Settings {
  const directory = dirname(file)
  const workers = read.gateway.workers === 'auto' ? availableParallelism() : read.gateway.workers
  return Object.freeze({
    file,
    gateway: { ...read.gateway, workers },
    admin: read.admin,
    redis: { url: redisUrl(read.redis.url, directory), expectExisting: read.redis.expect_existing },
    dataDir: resolve(directory, read.data_dir),
    pricesFile: resolve(directory, read.prices),
    entitlementsFile: resolve(directory, read.entitlements),
    unitScales: new Map(Object.entries(read.units).map(([unit, { scale }]) => [unit, scale])),
    upstreams: Object.entries(read.upstreams).map(([name, upstream]) => buildUpstream(name, upstream)),
    metering: {
      unpricedModel: read.metering.unpriced_model,
      unpricedKind: read.metering.unpriced_kind,
      unmeteredPaths: read.metering.unmetered_paths,
      bufferBytes: read.metering.buffer_bytes,
    },
    answers: { streamCost: read.answers.stream_cost },
    runHeaders: read.run_headers,
    jwt: read.auth.jwt.map(buildIssuer),
    limits: buildLimits(read.limits),
    metrics: { maxSeries: read.metrics.max_series },
    ledger: {
      books: read.ledger.export.map(({ jsonl }) => ({ name: jsonl, path: resolve(directory, read.data_dir, jsonl) })),
      keepMs: read.ledger.keep,
      freezeOnDrift: read.ledger.freeze_on_drift,
    },
  })
}

/** A unix socket's path is relative to the file, as every path. */
function redisUrl(url: string, directory: string): string {
  const path = url.replace(/^unix:(\/\/)?/, '')
  return path !== url || /^\.\.?\//.test(url) ? resolve(directory, path) : url
}

function buildUpstream(name: string, read: TollgateFile['upstreams'][string]): Upstream {
  const baseUrl = new URL(read.base_url.replace(/\/+$/, ''))
  return Object.freeze({
    name,
    format: read.format,
    baseUrl,
    apiKey: read.api_key,
    auth: buildAuth(read.auth) ?? defaultAuth(read.format, baseUrl.hostname, read.api_key),
    models: read.models,
    headers: Object.fromEntries(Object.entries(read.headers).map(([header, value]) => [header.toLowerCase(), value])),
    shared: read.shared,
    onDisconnect: { mode: read.on_disconnect.mode, maxMs: read.on_disconnect.max_seconds * 1000 },
    onNoAnswer: read.on_no_answer,
    missingUsage: read.missing_usage,
    chargeBy: read.charge_by,
    outputLimitParam: read.output_limit_param,
    askForUsage: read.ask_for_usage,
  })
}

const AZURE = /\.(openai|services\.ai|cognitiveservices)\.azure\.com$/

function buildAuth(read: TollgateFile['upstreams'][string]['auth']): UpstreamAuth | undefined {
  if (typeof read !== 'object') return read
  return 'command' in read ? { command: read.command, refreshMs: read.refresh } : read
}

/** A key that is given for Vertex or Bedrock is a bearer token; without one the cloud's own credentials are looked for. */
function defaultAuth(format: Upstream['format'], host: string, apiKey: string): UpstreamAuth {
  switch (format) {
    case 'anthropic':
      return AZURE.test(host) ? 'api-key' : 'x-api-key'
    case 'gemini':
      return 'x-goog-api-key'
    case 'bedrock':
      return apiKey === '' ? awsAuth(host) : 'bearer'
    case 'vertex':
      return apiKey === '' ? { gcp: 'adc' } : 'bearer'
    case 'ollama':
      return apiKey === '' ? 'none' : 'bearer'
    default:
      return AZURE.test(host) ? 'api-key' : 'bearer'
  }
}

/** AWS's hosts name their region; for any other one the config has to. */
function awsAuth(host: string): UpstreamAuth {
  const region =
    /(?:^|\.)bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)$/.exec(host)?.[1]
  return region === undefined ? 'bearer' : { sigv4: { region, service: 'bedrock' } }
}

function buildLimits(read: TollgateFile['limits']): Settings['limits'] {
  return {
    headersMs: read.headers_timeout,
    requestMs: read.request_timeout,
    fileMs: read.file_timeout,
    keepAliveMs: read.keep_alive,
    requestsPerSocket: read.requests_per_socket,
    headerBytes: read.header_bytes,
    headerCount: read.header_count,
    pathBytes: read.path_bytes,
    connections: read.connections,
    connectionsPerAddress: read.connections_per_address,
    bodyBytes: read.body_bytes,
    fileBytes: read.file_bytes,
    batchLineBytes: read.batch_line_bytes,
    jsonDepth: read.json_depth,
    upstreamConnectMs: read.upstream_connect_timeout,
    upstreamFirstByteStreamMs: read.upstream_first_byte_timeout_stream,
    upstreamFirstByteJsonMs: read.upstream_first_byte_timeout_json,
    upstreamIdleMs: read.upstream_idle_timeout,
    upstreamTotalMs: read.upstream_total_timeout,
    redisCommandMs: read.redis_command_timeout,
    redisConnectMs: read.redis_connect_timeout,
    redisBreakerFailures: read.redis_breaker_failures,
    redisBreakerWindowMs: read.redis_breaker_window,
    redisProbeMs: read.redis_probe_interval,
    holdDeadlineMs: read.hold_deadline,
    checkpointEveryMs: read.checkpoint_every,
    jobDeadlineMs: read.job_deadline,
    jobLateWindowMs: read.job_late_window,
    pollFirstMs: read.poll_first,
    pollMostMs: read.poll_most,
    pollsPerUpstream: read.polls_per_upstream,
    webhookTimeoutMs: read.webhook_timeout,
    webhookRetryFirstMs: read.webhook_retry_first,
    webhookRetryMostMs: read.webhook_retry_most,
    webhookRetryForMs: read.webhook_retry_for,
    webhookLeaseMs: read.webhook_lease,
    webhookConnections: read.webhook_connections,
    drains: read.drains,
    drainBytes: read.drain_bytes,
    graceMs: read.grace,
  }
}
