import type { IncomingMessage, ServerResponse } from 'node:http'

/** Of an upload that was refused: read and thrown away, so that its sender is still there to read why. */
const REST_BYTES_MAX = 1024 * 1024
const REST_MS_MAX = 1_000

/**
 * Ends a whole answer whose request is still being uploaded. Closing at once would reset the connection under an answer
 * that nobody has read yet; what is left of the upload never becomes the next request, as the connection closes after.
 */
export function endEarly(request: IncomingMessage, response: ServerResponse, body: string): void {
  let left = REST_BYTES_MAX
  const end = (): void => {
    clearTimeout(timer)
    response.end()
  }
  const timer = setTimeout(end, REST_MS_MAX)
  response.write(body)
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) end()
  })
  request.once('end', end)
  request.once('close', end)
  request.resume()
}
