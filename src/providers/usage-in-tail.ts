/**
 * Finds the usage of an event too large to be kept (an image in base64 beside it): it stands near the end, and its
 * bytes cannot occur inside a JSON string.
 */
const USAGE = Buffer.from('"usage":')

/** The value of the last `"usage":` (or another `name`) in the bytes that is a whole JSON object; undefined where there is none. */
export function usageInTail(tail: Buffer, name: Buffer = USAGE): unknown {
  const at = tail.lastIndexOf(name)
  if (at < 0) return undefined
  const text = tail.toString('utf8', at + name.length)
  for (let end = text.indexOf('}'); end >= 0; end = text.indexOf('}', end + 1)) {
    try {
      return JSON.parse(text.slice(0, end + 1))
    } catch {
      // A brace of an inner object: the usage ends at a later one.
    }
  }
  return undefined
}
