/** Exports ledgers without a pause until it is killed: URL of Redis, directory of books, accounts. */
import { Redis } from 'ioredis'
import { BooksTarget } from '../../src/books/books-target.ts'
import { Exporter } from '../../src/books/exporter.ts'
import { SILENT_LOG } from '../../src/log.ts'
import { createScriptCaller } from '../../src/wallet/script-caller.ts'

const [url = '', path = '', ...accounts] = process.argv.slice(2)
const redis = new Redis(url)
const exporter = new Exporter({
  target: new BooksTarget(redis, { name: 'killed/', path }),
  redis,
  scripts: createScriptCaller(redis, {}),
  accounts: async () => accounts,
  log: SILENT_LOG,
})
process.stdout.write('exporting\n')
for (;;) await exporter.round()
