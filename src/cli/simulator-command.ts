import { once } from 'node:events'
import { UnknownControl } from '../simulator/controls.ts'
import { startSimulator } from '../simulator/simulator.ts'

export interface SimulatorCommandOptions {
  /** Default 8090; 0: a free one. */
  readonly port?: string | number | undefined
  /** Default 127.0.0.1. */
  readonly host?: string | undefined
  /** Default 1. */
  readonly seed?: string | number | undefined
  /** Controls for every call, such as `latency=200,tps=50`. */
  readonly defaults?: string | undefined
}

/**
 * `tollgate simulator`: serves until SIGINT or SIGTERM. Prints where it listens on standard output. Answers the exit
 * code: 0 when it was told to stop, 1 where it could not listen, 2 for an option that makes no sense.
 */
export async function simulatorCommand(options: SimulatorCommandOptions): Promise<number> {
  const port = wholeNumber(options.port ?? 8090, 65_535)
  const seed = wholeNumber(options.seed ?? 1, 2 ** 32 - 1)
  if (port === undefined) return wrongUsage(`--port takes a number from 0 to 65535, not "${options.port}"`)
  if (seed === undefined) return wrongUsage(`--seed takes a number from 0 to 4294967295, not "${options.seed}"`)
  try {
    const simulator = await startSimulator({
      port,
      seed,
      host: options.host ?? '127.0.0.1',
      defaults: options.defaults ?? '',
    })
    process.stdout.write(introduction(simulator.url, seed))
    await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
    await simulator.close()
    return 0
  } catch (error) {
    if (error instanceof UnknownControl) return wrongUsage(error.message)
    process.stderr.write(`tollgate simulator: ${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  }
}

function wholeNumber(value: string | number, most: number): number | undefined {
  const number = /^\d+$/.test(String(value)) ? Number(value) : Number.NaN
  return number <= most ? number : undefined
}

function wrongUsage(message: string): number {
  process.stderr.write(`tollgate simulator: ${message}\n`)
  return 2
}

function introduction(url: string, seed: number): string {
  return `Simulated provider (OpenAI, Anthropic, Google) at ${url}, seed ${seed}
  base URLs     ${url}/v1 (OpenAI), ${url} (Anthropic, Google); any key
  per call      header x-simulate: output=500,tps=50,fault=reset_mid  (or in the model: gpt-5-mini+output:500)
  what came in  ${url}/__simulator/requests
`
}
