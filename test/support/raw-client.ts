/** A client that sends bytes as they are, and says what came back. */
import { connect, type Socket } from 'node:net'

export interface RawAnswer {
  readonly text: string
  /** Status of each answer, in order; 100 Continue among them. */
  readonly statuses: readonly number[]
  /** The gateway closed the connection within the time. */
  readonly closed: boolean
}

export function rawSocket(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname)
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      socket.on('error', () => {})
      resolve(socket)
    })
  })
}

/** After the first bytes of an answer: what comes later than this is no part of what one write was answered with. */
const QUIET_MS = 400

/**
 * Sends the pieces one after the other and reads until the gateway closes, `until` holds, or `withinMs` are over; where
 * none of the two is said, until it has been quiet for a moment behind the first bytes.
 */
export async function rawExchange(
  url: string,
  pieces: readonly (string | Buffer)[],
  { withinMs, until }: { readonly withinMs?: number; readonly until?: (text: string) => boolean } = {},
): Promise<RawAnswer> {
  const socket = await rawSocket(url)
  let text = ''
  const closed = await new Promise<boolean>((resolve) => {
    let timer = setTimeout(() => resolve(false), withinMs ?? 30_000)
    const end = (value: boolean): void => {
      clearTimeout(timer)
      resolve(value)
    }
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (until?.(text)) end(false)
      if (until !== undefined || withinMs !== undefined) return
      clearTimeout(timer)
      timer = setTimeout(() => resolve(false), QUIET_MS)
    })
    socket.on('close', () => end(true))
    for (const piece of pieces) socket.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)
  })
  socket.destroy()
  return { text, statuses: [...text.matchAll(/HTTP\/1\.[01] (\d{3}) /g)].map((match) => Number(match[1])), closed }
}
