/**
 * Finds the usage of an event too large to be kept (an image in base64 beside it): it stands near the end, and its
 * bytes cannot occur inside a JSON string.
 */
const USAGE = Buffer.from('"usage":')
const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN = 0x7b
const CLOSE = 0x7d

/** The value of the last `"usage":` (or another `name`) in the bytes that is a whole JSON object; undefined where there is none. */
export function usageInTail(tail: Buffer, name: Buffer = USAGE): unknown {
  const at = tail.lastIndexOf(name)
  if (at < 0) return undefined
  const start = at + name.length
  const end = objectEnd(tail, start)
  if (end < 0) return undefined
  try {
    return JSON.parse(tail.toString('utf8', start, end))
  } catch {
    return undefined
  }
}

/** Behind the brace that closes the object which begins at `from`; -1 where none does. */
function objectEnd(bytes: Buffer, from: number): number {
  let depth = 0
  let inString = false
  for (let at = from; at < bytes.length; at++) {
    const byte = bytes[at]
    if (inString) {
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) inString = false
    } else if (byte === QUOTE) inString = true
    else if (byte === OPEN) depth++
    else if (byte === CLOSE && --depth <= 0) return depth === 0 ? at + 1 : -1
  }
  return -1
}
