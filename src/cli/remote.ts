/** Commands that talk to a running gateway: their common options, and the connection. */
import type { Command } from 'commander'
import { AdminClient, DEFAULT_ADMIN_URL } from './admin-client.ts'
import type { Output } from './read-commands.ts'

export interface CliEnvironment {
  readonly env: NodeJS.ProcessEnv
  readonly print: (text: string) => void
  readonly printError: (text: string) => void
  readonly input: AsyncIterable<Uint8Array>
}

export interface AdminOptions {
  readonly admin?: string
  readonly json?: boolean
  readonly reason?: string
}

/** A command that talks to a running gateway. */
export function remote(parent: Command, name: string, description: string): Command {
  return parent
    .command(name)
    .description(description)
    .option(
      '--admin <url>',
      `admin API; default TOLLGATE_ADMIN_URL, else ${DEFAULT_ADMIN_URL} (token: TOLLGATE_ADMIN_TOKEN)`,
    )
    .option('--json', 'print JSON')
}

export function addTimes(command: Command): Command {
  return command
    .option('--since <time>', '2026-11-01, 2026-11-01T08:00:00Z, or 24h ago')
    .option('--until <time>', 'exclusive')
    .option('--period <period>', '2026, 2026-Q4, 2026-11, 2026-W48 or 2026-11-23')
    .option('--timezone <zone>', 'of dates and periods (default UTC)')
}

export function connect(
  cli: CliEnvironment,
  options: AdminOptions,
): { readonly admin: AdminClient; readonly output: Output } {
  const url = options.admin ?? (cli.env['TOLLGATE_ADMIN_URL'] || DEFAULT_ADMIN_URL)
  // A file that was read into the variable ends with a line break.
  const token = cli.env['TOLLGATE_ADMIN_TOKEN']?.trim() || undefined
  return { admin: new AdminClient({ url, token }), output: { json: options.json === true, print: cli.print } }
}
