/** What providers use in ids of their objects. Anything else in a path names no object: no encoded slash, no dots. */
const PLAIN_ID = /^[A-Za-z0-9_.:-]{1,256}$/

export function isPlainId(id: unknown): id is string {
  return typeof id === 'string' && PLAIN_ID.test(id) && id !== '.' && id !== '..'
}
