import { setTimeout as sleep } from 'node:timers/promises'

const ATTEMPTS = 3
const WAIT_SECONDS_MAX = 5

/** Sends a request again where the gateway answers 503 and says when (a machine too busy for Redis), as official clients do. */
export async function tryAgain(send: () => Promise<Response>): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    const response = await send()
    if (response.status !== 503 || attempt === ATTEMPTS) return response
    await response.arrayBuffer()
    await sleep(Math.min(WAIT_SECONDS_MAX, Number(response.headers.get('retry-after') ?? 1)) * 1000)
  }
}
