/** Entry of the `tollgate` command. */
import { runCli } from './cli/program.ts'

// `tollgate ledger acme | head`: who reads has read enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

const exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  print: (text) => void process.stdout.write(text),
  printError: (text) => void process.stderr.write(text),
  input: process.stdin,
})

// Not process.exitCode alone: a connection that is kept open must not keep a command that is done. The write waits
// for what was printed before it.
process.stdout.write('', () => process.exit(exitCode))
