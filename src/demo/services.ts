/** What the demo runs on: the provider's simulator and a gateway with `config/`, its data in a folder of this run alone. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Gateway, startGateway } from '../gateway.ts'
import { createLog } from '../log.ts'
import { type Simulator, startSimulator } from '../simulator/simulator.ts'

const CONFIG_FILE = join(import.meta.dirname, '../../config/tollgate.yaml')
const HOST = '127.0.0.1'

export interface Services {
  readonly gateway: Gateway
  readonly adminToken: string
  readonly simulator: Simulator
  /** Ports of the config that another program has, so that free ones were taken. */
  readonly takenPorts: readonly number[]
  /** Stops all of it and deletes its data. */
  stop(): Promise<void>
}

/** Throws with a message for the terminal where something cannot start. */
export async function startServices(env: NodeJS.ProcessEnv): Promise<Services> {
  const dataDir = mkdtempSync(join(tmpdir(), 'tollgate-demo-'))
  const undo: (() => unknown)[] = [() => rmSync(dataDir, { recursive: true, force: true })]
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step()
  }
  try {
    const simulator = await startSimulator({ seed: 1 })
    undo.push(() => simulator.close())
    const port = await freeOr(Number(env['TOLLGATE_PORT'] ?? 8080))
    const adminPort = await freeOr(Number(env['TOLLGATE_ADMIN_PORT'] ?? 9090))
    const gateway = await startGateway({
      configFile: CONFIG_FILE,
      env: {
        ...env,
        ...environment(simulator.url, dataDir),
        TOLLGATE_PORT: String(port.port),
        TOLLGATE_ADMIN_PORT: String(adminPort.port),
      },
      // What the walk has to say it says itself; a log line between its lines means that something is wrong.
      log: createLog(env['TOLLGATE_LOG_LEVEL'] ?? 'error'),
    })
    undo.push(() => gateway.stop())
    if (gateway.adminToken === undefined)
      throw new Error(
        'config/tollgate.yaml names admin tokens; the demo needs the one that is made where it names none',
      )
    return {
      gateway,
      adminToken: gateway.adminToken,
      simulator,
      takenPorts: [port, adminPort].flatMap((choice) => choice.taken ?? []),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** No real provider is ever dialled, whatever keys the machine has in its environment. */
function environment(simulatorUrl: string, dataDir: string): Record<string, string> {
  return {
    TOLLGATE_HOST: HOST,
    REDIS_URL: '',
    TOLLGATE_DATA_DIR: dataDir,
    OPENAI_BASE_URL: `${simulatorUrl}/v1`,
    OPENAI_API_KEY: 'sk-simulated',
    ANTHROPIC_BASE_URL: simulatorUrl,
    ANTHROPIC_API_KEY: 'sk-ant-simulated',
    GEMINI_BASE_URL: simulatorUrl,
    GEMINI_API_KEY: 'simulated',
  }
}

/** The port, or 0 (any free one) where another program has it. */
function freeOr(port: number): Promise<{ readonly port: number; readonly taken?: number }> {
  return new Promise((found) => {
    const probe = createServer()
    probe.once('error', () => found({ port: 0, taken: port }))
    probe.listen(port, HOST, () => probe.close(() => found({ port })))
  })
}
