/** Without password and query: both may be secrets. */
export function shownUrl(text: string): string {
  if (!URL.canParse(text)) return text
  const url = new URL(text)
  if (url.password !== '') url.password = '***'
  url.search = ''
  return url.href
}
