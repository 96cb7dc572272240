/** A WebSocket on a path that nothing meters: passed on where the config names it, or under observe. */
import type { IncomingMessage } from 'node:http'
import { WebSocket } from 'ws'
import { errorFacts, Refusal } from '../errors.ts'
import type { CallDependencies } from '../http/call-dependencies.ts'
import type { OpenCall } from '../http/call-guard.ts'
import type { IncomingCall } from '../http/read-call.ts'
import { isUnmetered, touchesObjects, upstreamWithoutModel } from '../http/route.ts'
import { connectUpstream } from './connect-upstream.ts'
import { Faucet } from './faucet.ts'
import { FrameOutlet } from './frame-outlet.ts'

const GOING_AWAY = 1001

/** Throws Refusal. `open`: opens the caller's side. */
export async function openUnmetered(
  deps: CallDependencies,
  incoming: IncomingCall,
  request: IncomingMessage,
  protocols: readonly string[],
  open: (headers: readonly string[], protocol: string) => WebSocket | undefined,
): Promise<void> {
  const { route, snapshot, key, id } = incoming
  const named = isUnmetered('GET', route.path, snapshot.settings)
  const rule = 'metering.unmetered_paths'
  if (!named && key.plan.enforcement !== 'observe') {
    const message = `The WebSocket ${route.path} is not metered here, and metering.unmetered_paths does not name it.`
    throw new Refusal(errorFacts('endpoint_not_metered', message, id, { rule }))
  }
  const upstream = upstreamWithoutModel(route, snapshot.settings)
  if (upstream === undefined || (touchesObjects(route.path) && !upstream.shared))
    throw new Refusal(errorFacts('not_entitled', 'No upstream serves this path.', id, { rule: 'upstreams' }))
  const headers = ['x-tollgate-request-id', id, 'x-tollgate-account', key.account.id]
  if (!named) {
    deps.metrics.wouldRefuse({ account: key.account.id, code: 'endpoint_not_metered', rule })
    headers.push('x-tollgate-would', 'endpoint_not_metered')
  }
  const dialled = await connectUpstream(deps, incoming, upstream, request, protocols)
  const counted = { account: key.account.id, upstream: upstream.name, model: '', endpoint: 'unmetered' }
  if ('refusal' in dialled) {
    deps.metrics.request({ ...counted, outcome: 'failed' })
    const message = `The upstream "${upstream.name}" refused the WebSocket with status ${dialled.refusal.status}.`
    throw new Refusal(errorFacts('upstream_unreachable', message, id))
  }
  const caller = open(headers, dialled.socket.protocol)
  deps.metrics.request({ ...counted, outcome: caller ? 'passed' : 'failed' })
  if (caller) new PlainRelay(deps, caller, dialled.socket, upstream.name)
  else dialled.socket.terminate()
}

/** Frames both ways, and nothing read of them. */
class PlainRelay implements OpenCall {
  readonly #deps: CallDependencies
  readonly #sides: readonly [WebSocket, WebSocket]
  readonly #outlets: FrameOutlet[] = []
  readonly #upstreamName: string
  #receivedBytes = 0

  constructor(deps: CallDependencies, caller: WebSocket, upstream: WebSocket, upstreamName: string) {
    this.#deps = deps
    this.#sides = [caller, upstream]
    this.#upstreamName = upstreamName
    this.#join(caller, upstream)
    this.#join(upstream, caller)
    upstream.on('message', (data: Buffer) => {
      this.#receivedBytes += data.length
    })
    deps.openCalls.add(this)
    upstream.resume()
  }

  #join(from: WebSocket, to: WebSocket): void {
    const outlet = new FrameOutlet(to, new Faucet(from))
    this.#outlets.push(outlet)
    from.on('message', (data: Buffer, binary) => outlet.send(data, binary))
    from.on('error', () => {})
    from.once('close', () => this.#end(to))
  }

  #end(other: WebSocket): void {
    if (this.#deps.openCalls.delete(this))
      this.#deps.metrics.unmeteredBytes(this.#upstreamName, 'received', this.#receivedBytes)
    other.resume()
    other.close(GOING_AWAY)
    setTimeout(() => other.terminate(), 2_000).unref()
  }

  tick(nowMs: number): void {
    if (this.#outlets.some((outlet) => outlet.stalled(nowMs))) for (const side of this.#sides) side.terminate()
  }

  /** Nothing is metered here, so nothing says whose it is. */
  cut(): void {}

  stop(): void {
    for (const side of this.#sides) if (side.readyState === WebSocket.OPEN) side.close(GOING_AWAY)
  }
}
