/** Text as it stood between the quotes of JSON strings, put together; "" where it is none. */
export function readJsonText(escaped: string): string {
  try {
    return JSON.parse(`"${escaped}"`) as string
  } catch {
    return ''
  }
}
