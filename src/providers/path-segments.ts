/** Segments of a request path, without its query. Encoded or empty segments are left as they are, so they match nothing. */
export function pathSegments(path: string): readonly string[] {
  const query = path.indexOf('?')
  return (query < 0 ? path : path.slice(0, query)).split('/')
}
