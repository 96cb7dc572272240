/** Without the list that Object.keys would make: it is asked on the way of each call. */
export function isEmpty(object: object): boolean {
  for (const _ in object) return false
  return true
}
