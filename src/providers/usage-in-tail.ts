/**
 * Finds the usage of an event too large to be kept (an image in base64 beside it): it stands near the end, and its
 * bytes cannot occur inside a JSON string.
 */
const USAGE = Buffer.from('"usage":')

/** The value of the last `"usage":` in the bytes that is a whole JSON object; undefined where there is none. */
export function usageInTail(tail: Buffer): unknown {
  const at = tail.lastIndexOf(USAGE)
  if (at < 0) return undefined
  const text = tail.toString('utf8', at + USAGE.length)
  for (let end = text.indexOf('}'); end >= 0; end = text.indexOf('}', end + 1)) {
    try {
      return JSON.parse(text.slice(0, end + 1))
    } catch {
      // A brace of an inner object: the usage ends at a later one.
    }
  }
  return undefined
}
