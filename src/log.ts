/**
 * The program's log: one JSON object a line on standard error, so that standard output stays free for what a command
 * prints. Secrets, prompts and completions are never handed to it; the redaction below is the second line of defence.
 */
import { type DestinationStream, pino } from 'pino'

type Write = (fields: Readonly<Record<string, unknown>>, message: string) => void

/** What the rest of the program sees of it: handed down, never imported as a global. */
export interface Log {
  readonly debug: Write
  readonly info: Write
  readonly warn: Write
  readonly error: Write
}

const LEVELS = ['debug', 'info', 'warn', 'error', 'silent']

// Names of headers and fields that may hold a credential, at the depths our log lines have.
const SECRET_NAMES = [
  'authorization',
  'x-api-key',
  'api-key',
  'x-goog-api-key',
  'cookie',
  'apiKey',
  'api_key',
  'token',
  'password',
  'secret',
]
const SECRET_PATHS = SECRET_NAMES.flatMap((name) => [`["${name}"]`, `*["${name}"]`, `*.*["${name}"]`])

/**
 * Message, code and causes of an error. A Redis error carries the whole command with its arguments (amounts, labels),
 * a fetch error the request: none of an error's other fields are written.
 */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return String(error)
  const code = (error as { code?: unknown }).code
  return {
    name: error.name,
    message: error.message,
    ...(typeof code === 'string' ? { code } : {}),
    stack: error.stack,
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  }
}

/**
 * @param level `debug`, `info`, `warn`, `error` or `silent` (TOLLGATE_LOG_LEVEL); anything else is `info`.
 * @param destination Where lines go; default: standard error, written at once, so that a crash loses none.
 */
export function createLog(
  level: string | undefined,
  destination: DestinationStream = pino.destination({ fd: 2, sync: true }),
): Log {
  return pino(
    {
      level: level !== undefined && LEVELS.includes(level) ? level : 'info',
      base: { process: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_PATHS, censor: '[redacted]' },
      serializers: { error: describeError, err: describeError },
    },
    destination,
  )
}

/** For tests and commands that print for themselves. */
export const SILENT_LOG: Log = { debug() {}, info() {}, warn() {}, error() {} }
