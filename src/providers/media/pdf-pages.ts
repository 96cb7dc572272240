/**
 * Pages of a PDF, from its bytes, without reading its streams. What it says of itself may be wrong: it is what the hold
 * is made from, never the charge.
 */

/** 6 MiB of a file: a longer one takes too long to be looked through while other calls wait. */
const BASE64_MAX = 8 * 1024 * 1024
const PAGES_MAX = 1000
const TREE_BYTES = 512

/**
 * Page objects, or what the page tree or a linearised file counts, whichever is more. undefined where it cannot be told:
 * it is no PDF or too long, or its objects stand in compressed streams.
 * Source: ISO 32000-1, 7.5.7 Object Streams, 7.7.3 Page Tree, Annex F.
 */
export function pdfPages(base64: string): number | undefined {
  if (base64.length > BASE64_MAX) return undefined
  const file = Buffer.from(base64, 'base64')
  if (file.subarray(0, 1024).indexOf('%PDF-') < 0) return undefined
  const seen = countPages(file)
  const counted = Math.max(seen.counted, linearisedPages(file))
  // What stands in compressed streams is not seen: then only a count says how many there are.
  const pages = file.includes('/ObjStm') ? counted : Math.max(seen.objects, counted)
  return pages > 0 ? Math.min(pages, PAGES_MAX) : undefined
}

function countPages(file: Buffer): { readonly objects: number; readonly counted: number } {
  let objects = 0
  let counted = 0
  for (let at = file.indexOf('/Page'); at >= 0; at = file.indexOf('/Page', at + 5)) {
    const next = file[at + 5] ?? 0
    if (next === 0x73) counted = Math.max(counted, treeCount(file, at))
    else if (!isRegular(next)) objects++
  }
  return { objects, counted }
}

/** `/Count` of the dictionary that a `/Pages` stands in. */
function treeCount(file: Buffer, at: number): number {
  const text = file.toString('latin1', Math.max(0, at - TREE_BYTES), at + TREE_BYTES)
  const middle = Math.min(at, TREE_BYTES)
  const from = text.lastIndexOf('obj', middle)
  const to = text.indexOf('endobj', middle)
  const dictionary = text.slice(from < 0 ? 0 : from, to < 0 ? text.length : to)
  return Number(/\/Count\s+(\d{1,6})\b/.exec(dictionary)?.[1] ?? 0)
}

function linearisedPages(file: Buffer): number {
  const head = file.toString('latin1', 0, 2048)
  if (!head.includes('/Linearized')) return 0
  return Number(/\/N\s+(\d{1,6})\b/.exec(head)?.[1] ?? 0)
}

/** A character that goes on a name: `/PageLayout` is no page. */
function isRegular(code: number): boolean {
  return (
    (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a) || code === 0x23
  )
}
