/** Server-sent events that the gateway itself says: of a reader's `cutEnding()` and `errorEvent()`. */

export function dataEvent(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`
}

export function namedEvent(name: string, value: unknown): string {
  return `event: ${name}\n${dataEvent(value)}`
}
