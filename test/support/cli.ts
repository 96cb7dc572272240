import { runCli } from '../../src/cli/program.ts'
import type { TestGateway } from './gateway.ts'

/** A command of the CLI against a gateway of a test: exit code and what was printed. */
export async function tollgate(
  gateway: TestGateway,
  ...args: string[]
): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', '']
  const code = await runCli(args, {
    env: { TOLLGATE_ADMIN_URL: gateway.adminUrl, TOLLGATE_ADMIN_TOKEN: gateway.adminToken },
    print: (text) => {
      out += text
    },
    printError: (text) => {
      err += text
    },
    input: (async function* () {})(),
  })
  return { code, out, err }
}
