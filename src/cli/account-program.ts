/** `tollgate accounts` and `tollgate keys`. */
import type { Command } from 'commander'
import type { AccountOptions } from './account-commands.ts'
import type { KeyOptions } from './key-commands.ts'
import { type AdminOptions, type CliEnvironment, connect, remote } from './remote.ts'

/** `--label` and `--plan-overrides`, which accounts and keys share. */
function withFields(command: Command): Command {
  return command
    .option('--label <name=value...>', 'labels, in place of all that it has')
    .option('--plan-overrides <json>', 'fields of a plan, in place of all that it has')
}

export function addAccounts(program: Command, cli: CliEnvironment): void {
  const commands = () => import('./account-commands.ts')
  const accounts = program.command('accounts').description('accounts: those of the files, and those kept in Redis')
  remote(accounts, 'list', 'accounts with what they have').action(async (options: AdminOptions) => {
    const { admin, output } = connect(cli, options)
    await (await import('./read-commands.ts')).accountsCommand(admin, output)
  })
  withFields(remote(accounts, 'create', 'make an account that is kept in Redis'))
    .argument('<account>')
    .option('--plan <plan>', 'required: one of entitlements.yaml')
    .action(async (id: string, options: AdminOptions & AccountOptions) => {
      const { admin, output } = connect(cli, options)
      await (await commands()).createAccountCommand(admin, id, options, output)
    })
  withFields(remote(accounts, 'update', 'change an account that is kept in Redis'))
    .argument('<account>')
    .option('--plan <plan>', 'one of entitlements.yaml')
    .option('--reopen', 'open a closed one again')
    .action(async (id: string, options: AdminOptions & AccountOptions) => {
      const { admin, output } = connect(cli, options)
      await (await commands()).updateAccountCommand(admin, id, options, output)
    })
  remote(accounts, 'close', 'refuse the keys of an account that is kept in Redis; its wallet stays')
    .argument('<account>')
    .action(async (id: string, options: AdminOptions) => {
      const { admin, output } = connect(cli, options)
      await (await commands()).closeAccountCommand(admin, id, output)
    })
}

export function addKeys(program: Command, cli: CliEnvironment): void {
  const commands = () => import('./key-commands.ts')
  const keys = program.command('keys').description('virtual keys: those of the files, and those kept in Redis')
  withFields(remote(keys, 'create', 'make a key, shown this once'))
    .argument('<account>')
    .argument('<key>', 'its name in the ledger')
    .option('--acts-for <pattern...>', 'of a backend: accounts that its calls may name')
    .option('--expires <time>', 'exclusive (default never)')
    .option('--timezone <zone>', 'of dates (default UTC)')
    .action(async (account: string, id: string, options: AdminOptions & KeyOptions) => {
      const { admin, output } = connect(cli, options)
      await (await commands()).createKeyCommand(admin, [account, id], options, output)
    })
  remote(keys, 'list', 'keys, never shown themselves')
    .option('--account <account>', 'default all accounts')
    .action(async (options: AdminOptions & { account?: string }) => {
      const { admin, output } = connect(cli, options)
      await (await commands()).listKeysCommand(admin, options.account, output)
    })
  remote(keys, 'revoke', 'refuse a key of Redis on every gateway at once')
    .argument('<key>')
    .action(async (id: string, options: AdminOptions) => {
      const { admin, output } = connect(cli, options)
      await (await commands()).revokeKeyCommand(admin, id, output)
    })
  keys
    .command('hash')
    .argument('[key]', 'left out or -: read from standard input')
    .description('print the sha256 line of a key')
    .action(async (key) => {
      const { keysHashCommand } = await import('./keys-hash-command.ts')
      cli.print(await keysHashCommand(key, cli.input))
    })
}
