import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { SimulatorStats } from './request-log.ts'
import { type ProviderOptions, SimulatedProvider } from './simulated-provider.ts'
import { attachSockets, isWebSocket } from './upgrade.ts'

export interface SimulatorOptions extends ProviderOptions {
  /** Default 0: a free one. */
  readonly port?: number
  /** Default 127.0.0.1. */
  readonly host?: string
}

export interface Simulator {
  /** http://127.0.0.1:PORT, without a path. */
  readonly url: string
  readonly port: number
  readonly stats: SimulatorStats
  /** Forgets counters, bodies and stored responses. */
  reset(): void
  /** Closes the port and every connection. */
  close(): Promise<void>
}

/**
 * A provider of our own: OpenAI's, Anthropic's and Google's endpoints in their real shapes, deterministic by seed, with the
 * pace and the faults that a request asks for (see controls.ts). `GET /__simulator/requests` shows what reached it,
 * `POST /__simulator/reset` forgets that.
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const provider = new SimulatedProvider(options)
  const server = createServer(
    { keepAliveTimeout: 65_000, requestTimeout: 0, shouldUpgradeCallback: isWebSocket },
    provider.onRequest,
  )
  const closeSockets = attachSockets(server, provider.log, options.seed ?? 1)
  await listen(server, options.port ?? 0, options.host ?? '127.0.0.1')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${options.host ?? '127.0.0.1'}:${port}`,
    port,
    stats: provider.log,
    reset: () => provider.reset(),
    close: () => {
      closeSockets()
      return close(server)
    },
  }
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
