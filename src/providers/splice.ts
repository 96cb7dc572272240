/** Edits of a body that leave every other byte as it came. */

/** Bytes `from` to `to` (exclusive; equal for an insertion) are replaced by `text`. */
export interface Edit {
  readonly from: number
  readonly to: number
  readonly text: string
}

/** The body with the edits made; the same buffer where there are none. Edits must not overlap. */
export function splice(body: Buffer, edits: readonly Edit[]): Buffer {
  if (edits.length === 0) return body
  const ordered = edits.toSorted((a, b) => a.from - b.from)
  const parts: Buffer[] = []
  let at = 0
  for (const edit of ordered) {
    parts.push(body.subarray(at, edit.from), Buffer.from(edit.text))
    at = edit.to
  }
  parts.push(body.subarray(at))
  return Buffer.concat(parts)
}
