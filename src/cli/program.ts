/** The commands and their options. What a command does is in a file of its own, loaded when it is called. */

import { Command, CommanderError } from 'commander'
import manifest from '../../package.json' with { type: 'json' }

import { addAccounts, addKeys } from './account-program.ts'
import { CliError } from './cli-error.ts'
import type { DoctorOptions } from './doctor-command.ts'
import type { ExportOptions, VerifyOptions } from './export-command.ts'
import type { GrantOptions, StopOptions } from './money-commands.ts'
import type { LedgerOptions } from './read-commands.ts'
import type { ReconcileOptions } from './reconcile-command.ts'
import type { RefundOptions } from './refund-command.ts'
import { type AdminOptions, addTimes, type CliEnvironment, connect, remote } from './remote.ts'
import type { ControlsOptions } from './report-commands.ts'
import type { TimeOptions } from './time-range.ts'
import type { UsageOptions } from './usage-command.ts'

const DEFAULT_CONFIG = 'config/tollgate.yaml'

export function makeProgram(cli: CliEnvironment, exit: (code: number) => void): Command {
  const program = new Command('tollgate')
    .description('Inline metering gateway for LLM APIs: serves calls, and keeps their money.')
    .version(manifest.version)
    .configureOutput({ writeOut: cli.print, writeErr: cli.printError })
    .exitOverride()
    .showHelpAfterError('(tollgate --help shows the commands)')
  const configOption = (command: Command) => command.option('--config <file>', 'tollgate.yaml', DEFAULT_CONFIG)
  addLocal(program, configOption, cli, exit)
  addReading(program, cli, exit)
  addWebhooks(program, cli, exit)
  addAccounts(program, cli)
  addKeys(program, cli)
  addMoney(program, cli, exit)
  return program
}

function addLocal(
  program: Command,
  configOption: (command: Command) => Command,
  cli: CliEnvironment,
  exit: (code: number) => void,
): void {
  configOption(program.command('serve').description('run the gateway')).action(async ({ config }) => {
    const { serveCommand } = await import('./serve-command.ts')
    exit(await serveCommand(config, cli.env))
  })
  configOption(program.command('validate').description('check all YAML; needs nothing running')).action(
    async (options) => {
      const { validateCommand } = await import('./validate-command.ts')
      exit(await validateCommand(options))
    },
  )
  configOption(program.command('adopt-redis').description('say that an empty, or another, Redis is meant')).action(
    async ({ config }) => {
      const { adoptCommand } = await import('./adopt-command.ts')
      cli.print(await adoptCommand(config, cli.env))
    },
  )
  const simulator = program.command('simulator').description('run a local provider that speaks the providers’ formats')
  simulator
    .option('--port <port>', 'default 8090; 0: a free one')
    .option('--host <host>', 'default 127.0.0.1')
    .option('--seed <number>', 'default 1')
    .option('--defaults <controls>', 'controls for every call, such as latency=200,tps=50')
    .action(async (options) => {
      const { simulatorCommand } = await import('./simulator-command.ts')
      exit(await simulatorCommand(options))
    })
}

function addReading(program: Command, cli: CliEnvironment, exit: (code: number) => void): void {
  const read = () => import('./read-commands.ts')
  const one = (name: 'balance' | 'grants' | 'holds', description: string) =>
    remote(program, name, description)
      .argument('<account>')
      .action(async (account: string, options: AdminOptions) => {
        const { admin, output } = connect(cli, options)
        const commands = await read()
        const run = { balance: commands.balanceCommand, grants: commands.grantsCommand, holds: commands.holdsCommand }[
          name
        ]
        await run(admin, account, output)
      })
  one('balance', 'what an account has')
  one('grants', 'credit grants of an account, oldest first')
  one('holds', 'open calls of an account and what they hold')
  addTimes(remote(program, 'ledger', 'every change of an account’s money, oldest first'))
    .argument('<account>')
    .option('--follow', 'go on with each new entry')
    .option('--type <type>', 'entries of one type, such as settle')
    .action(async (account: string, options: AdminOptions & LedgerOptions) => {
      const { admin, output } = connect(cli, options)
      await (await read()).ledgerCommand(admin, account, options, output)
    })
  addTimes(remote(program, 'usage', 'calls, tokens, what was charged, refunded and what it cost'))
    .option(
      '--by <names>',
      'account (default), key, user, run, model, upstream, endpoint, funding, day, month or a label, by commas',
    )
    .option('--account <account>', 'default all accounts')
    .action(async (options: AdminOptions & UsageOptions) => {
      const { admin, output } = connect(cli, options)
      await (await import('./usage-command.ts')).usageCommand(admin, options, output)
    })
  addTimes(remote(program, 'reconcile', 'compare the ledgers with the provider’s own report; exit 1 where they differ'))
    .option('--provider-usage <file>', 'required: what its usage or cost API answered, or CSV')
    .option('--format <format>', 'required: openai-usage, openai-cost, anthropic-usage or csv')
    .option('--tolerance <percent>', 'of what the provider says (default 0.5%)')
    .action(async (options: AdminOptions & ReconcileOptions) => {
      const { admin, output } = connect(cli, options)
      exit(await (await import('./reconcile-command.ts')).reconcileCommand(admin, options, output))
    })
  const report = program.command('report').description('reports from the ledger')
  addTimes(remote(report, 'statement', 'opening, what came and went, closing: it adds up'))
    .argument('[account]', 'left out: all accounts')
    .action(async (account: string | undefined, options: AdminOptions & TimeOptions) => {
      const { admin, output } = connect(cli, options)
      const { statementCommand } = await import('./statement-command.ts')
      await statementCommand(admin, account, options, output)
    })
  const reports = () => import('./report-commands.ts')
  addTimes(remote(report, 'controls', 'do the controls work: a verdict and numbers for each'))
    .argument('[account]', 'left out: all accounts')
    .option('--check', 'exit 1 where a control needs a look')
    .action(async (account: string | undefined, options: AdminOptions & ControlsOptions) => {
      const { admin, output } = connect(cli, options)
      exit(await (await reports()).controlsCommand(admin, account, options, output))
    })
  addTimes(remote(report, 'shadow', 'what enforcement would have refused of what observe let pass'))
    .argument('[account]', 'left out: all accounts')
    .action(async (account: string | undefined, options: AdminOptions & TimeOptions) => {
      const { admin, output } = connect(cli, options)
      await (await reports()).shadowCommand(admin, account, options, output)
    })
  remote(
    program,
    'doctor',
    'recompute accounts from their ledgers and compare with what Redis keeps; exit 1 where they differ',
  )
    .argument('[account]', 'default every account')
    .option('--repair', 'write what the ledgers prove in place of what differs; exit 1 where something is left')
    .option('--dry-run', 'with --repair: show what would be written')
    .option('--freeze', 'with --repair: freeze what differs first; it stays frozen')
    .option('--reason <text>', 'with --repair: for the ledger')
    .action(async (account: string | undefined, options: AdminOptions & DoctorOptions) => {
      const { admin, output } = connect(cli, options)
      exit(await (await import('./doctor-command.ts')).doctorCommand(admin, account, options, output))
    })
  remote(program, 'export', 'the ledger for finance, on standard output; --verify checks exported books')
    .option('--format <format>', 'jsonl (default), csv, focus (charges, FOCUS 1.2) or cloudevents')
    .option('--issuer <name>', 'of focus: who sells the calls (default Tollgate)')
    .option('--account <account>', 'default all')
    .option('--since <time>', '2026-11-01, 2026-11-01T08:00:00Z, or 24h ago')
    .option('--until <time>', 'exclusive')
    .option('--period <period>', '2026, 2026-Q4, 2026-11, 2026-W48 or 2026-11-23')
    .option('--timezone <zone>', 'of dates and periods (default UTC)')
    .option(
      '--verify',
      'check the hash chain of the books instead, and their end where a gateway answers; exit 1 names file and line',
    )
    .option('--config <file>', 'with --verify: whose books', DEFAULT_CONFIG)
    .option('--path <directory>', 'with --verify: a directory of books, in place of those of the config')
    .action(async (options: AdminOptions & ExportOptions & VerifyOptions & { readonly verify?: boolean }) => {
      const { exportCommand, verifyCommand } = await import('./export-command.ts')
      const { admin, output } = connect(cli, options)
      if (options.verify) exit(await verifyCommand(admin, options, cli.env, output, cli.printError))
      else await exportCommand(admin, options, output, cli.printError)
    })
}

function addWebhooks(program: Command, cli: CliEnvironment, exit: (code: number) => void): void {
  const webhooks = program.command('webhooks').description('receivers of events')
  const commands = () => import('./webhook-commands.ts')
  remote(webhooks, 'list', 'receivers and how far each is').action(async (options: AdminOptions) => {
    const { admin, output } = connect(cli, options)
    await (await commands()).webhooksListCommand(admin, output)
  })
  remote(webhooks, 'test', 'post a webhook.test; exit 1 where it is not taken')
    .argument('[url]', 'left out: all receivers')
    .action(async (url: string | undefined, options: AdminOptions) => {
      const { admin, output } = connect(cli, options)
      exit(await (await commands()).webhooksTestCommand(admin, url, output))
    })
}

function addMoney(program: Command, cli: CliEnvironment, exit: (code: number) => void): void {
  const money = () => import('./money-commands.ts')
  remote(program, 'grant', 'add a credit grant')
    .argument('<account>')
    .argument('<amount>', 'decimal, such as 10.50')
    .argument('<unit>', 'such as USD')
    .option('--funding <kind>', 'required: promotional, invoiced or external')
    .option('--priority <number>', '0 to 1000, lower is drawn first (default 10)')
    .option('--effective <time>', 'from when it can be used (default now)')
    .option('--expires <time>', 'exclusive: 2027-01-01 is usable to the end of 2026 (default never)')
    .option('--timezone <zone>', 'of dates (default UTC)')
    .option('--key <key>', 'unique in the account for ever: repeating the command makes no second grant')
    .option('--models <pattern...>', 'only for these models')
    .option('--label <name=value...>', 'labels of the grant')
    .action(async (account: string, amount: string, unit: string, options: AdminOptions & GrantOptions) => {
      const { admin, output } = connect(cli, options)
      await (await money()).grantCommand(admin, [account, amount, unit], options, output)
    })
  remote(program, 'void', 'forfeit what is free of a grant')
    .argument('<account>')
    .argument('<grant>')
    .option('--reason <text>', 'for the ledger')
    .action(async (account: string, grant: string, options: AdminOptions) => {
      const { admin, output } = connect(cli, options)
      await (await money()).voidCommand(admin, [account, grant], options, output)
    })
  remote(program, 'adjust', 'correct a wallet by hand; a negative amount takes free credit away')
    .argument('<account>')
    .argument('<amount>', 'decimal, such as 5 or -2.50')
    .argument('<unit>')
    .option('--reason <text>', 'required, for the ledger')
    .action(async (account: string, amount: string, unit: string, options: AdminOptions) => {
      const { admin, output } = connect(cli, options)
      await (await money()).adjustCommand(admin, [account, amount, unit], options, output)
    })
  remote(program, 'clawback', 'take a grant back whose money was taken back; what was spent of it becomes debt')
    .argument('<account>')
    .argument('<grant>')
    .option('--amount <amount>', 'default all of it')
    .option('--freeze', 'refuse new calls of the account too')
    .option('--reason <text>', 'for the ledger')
    .action(async (account: string, grant: string, options: AdminOptions & { amount?: string; freeze?: boolean }) => {
      const { admin, output } = connect(cli, options)
      await (await money()).clawbackCommand(admin, [account, grant], options, output)
    })
  remote(program, 'payment', 'say how far the payment of a grant is: authorized, settled or failed')
    .argument('<account>')
    .argument('<grant>')
    .argument('<state>')
    .option('--reason <text>', 'for the ledger')
    .action(async (account: string, grant: string, state: string, options: AdminOptions) => {
      const { admin, output } = connect(cli, options)
      await (await money()).paymentCommand(admin, [account, grant, state], options, output)
    })
  remote(program, 'resolve', 'flagged spend becomes debt, overflow, or is written_off')
    .argument('<account>')
    .argument('<unit>')
    .argument('<to>', 'debt, overflow or written_off')
    .option('--amount <amount>', 'default all of it')
    .option('--reason <text>', 'for the ledger')
    .action(async (account: string, unit: string, to: string, options: AdminOptions & { amount?: string }) => {
      const { admin, output } = connect(cli, options)
      await (await money()).resolveCommand(admin, [account, unit, to], options, output)
    })
  remote(program, 'close-period', 'close an overflow period: it is an invoice item then and never changes')
    .argument('<account>')
    .argument('<period>', 'such as 2026-10')
    .option('--force', 'although open calls pin it')
    .option('--reason <text>', 'for the ledger')
    .action(async (account: string, period: string, options: AdminOptions & { force?: boolean }) => {
      const { admin, output } = connect(cli, options)
      await (await money()).closePeriodCommand(admin, [account, period], options, output)
    })
  addTimes(remote(program, 'refund', 'give a charge back, or every charge of an outage'))
    .argument('[charge]', 'ACCOUNT:SEQ of its settle')
    .option('--amount <amount>', 'default all that is left of it')
    .option('--mode <mode>', 'original (default) or new_grant')
    .option('--where <name=value...>', 'account, upstream, model, endpoint, key, run, user, status, label.NAME')
    .option('--dry-run', 'with --where: show what would be refunded')
    .option('--reason <text>', 'required for the ledger, but in a dry run')
    .action(async (charge: string | undefined, options: AdminOptions & RefundOptions) => {
      const { admin, output } = connect(cli, options)
      exit(await (await import('./refund-command.ts')).refundCommand(admin, charge, options, output))
    })
  addUnmatched(program, cli)
  remote(program, 'stop', 'refuse new calls of a runaway at once')
    .argument('<account>')
    .option('--run <run>')
    .option('--user <user>')
    .option('--key <key>')
    .option('--request <id>')
    .option('--cut', 'end its open calls too, on every gateway within two seconds')
    .option('--lift <stop>', 'allow its calls again')
    .option('--reason <text>', 'for the ledger')
    .action(async (account: string, options: AdminOptions & StopOptions) => {
      const { admin, output } = connect(cli, options)
      await (await money()).stopCommand(admin, account, options, output)
    })
  for (const name of ['freeze', 'unfreeze'] as const) {
    const description = name === 'freeze' ? 'refuse new calls of an account; open ones go on' : 'allow calls again'
    remote(program, name, description)
      .argument('<account>')
      .option('--reason <text>', 'for the ledger')
      .action(async (account: string, options: AdminOptions) => {
        const { admin, output } = connect(cli, options)
        await (await money()).freezeCommand(admin, account, name === 'freeze', options, output)
      })
  }
}

function addUnmatched(program: Command, cli: CliEnvironment): void {
  const commands = () => import('./unmatched-command.ts')
  const unmatched = program.command('unmatched').description('settlements that came too late to be charged')
  remote(unmatched, 'list', 'those that wait for a word, with what they would charge')
    .argument('[account]', 'left out: all accounts')
    .action(async (account: string | undefined, options: AdminOptions) => {
      const { admin, output } = connect(cli, options)
      await (await commands()).unmatchedListCommand(admin, account, output)
    })
  for (const decision of ['charge', 'dismiss'] as const) {
    const description = decision === 'charge' ? 'charge one after all' : 'leave one uncharged for good'
    remote(unmatched, decision, description)
      .argument('<unmatched>', 'ACCOUNT:SEQ of its entry')
      .option('--reason <text>', 'required, for the ledger')
      .action(async (id: string, options: AdminOptions) => {
        const { admin, output } = connect(cli, options)
        await (await commands()).resolveUnmatchedCommand(admin, id, decision, options.reason, output)
      })
  }
}

/** Runs one command line. Answers the exit code: 0 done, 1 refused or failed, 2 wrong usage. Never throws. */
export async function runCli(args: readonly string[], cli: CliEnvironment): Promise<number> {
  let exitCode = 0
  const program = makeProgram(cli, (code) => {
    exitCode = code
  })
  try {
    await program.parseAsync(args, { from: 'user' })
    return exitCode
  } catch (error) {
    // Commander has printed its own message; help and version end this way too, with 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    const message = error instanceof Error ? error.message : String(error)
    // Each line of a config's problems begins with its place, as editors and terminals want it.
    const prefix = error instanceof Error && error.name === 'ConfigError' ? '' : 'tollgate: '
    cli.printError(
      message
        .split('\n')
        .map((line) => `${prefix}${line}\n`)
        .join(''),
    )
    if (cli.env['TOLLGATE_LOG_LEVEL'] === 'debug' && error instanceof Error) cli.printError(`${error.stack}\n`)
    return error instanceof CliError ? error.exitCode : 1
  }
}
