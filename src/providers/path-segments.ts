/** Segments of a request path, without its query. Encoded or empty segments are left as they are, so they match nothing. */
export function pathSegments(path: string): readonly string[] {
  const query = path.indexOf('?')
  return (query < 0 ? path : path.slice(0, query)).split('/')
}

/** A segment as the server reads it; escapes that are none stay, and then name nothing that is known. */
export function decodedSegment(segment: string): string {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
