/**
 * One line of the exported books: an entry as the ledger has it, its info as JSON, chained to the one before by SHA-256.
 *
 *   {"account":"acme","seq":7,"entry":"settle|…","info":"{…}","prev":"<64 hex>","hash":"<64 hex>"}
 *
 * `hash` is the SHA-256 of the line without it, `{"account":…,"prev":"…"}`, and `prev` the hash of the account's entry
 * before, so that a changed, lost or added line shows in all that follow. A line is a function of the ledger alone:
 * whoever exports an entry writes the same bytes.
 */
import { hash } from 'node:crypto'
import type { RawEntry } from '../wallet/ledger.ts'

/** `prev` of an account's first entry. */
export const GENESIS = '0'.repeat(64)

const HASH_START = ',"hash":"'
const TAIL_BYTES = HASH_START.length + 64 + '"}'.length

export interface Line extends RawEntry {
  readonly account: string
  readonly prev: string
  readonly hash: string
}

export class BrokenLine extends Error {
  override readonly name = 'BrokenLine'
}

/** With its line break. */
export function writeLine(
  account: string,
  { seq, packed, info }: RawEntry,
  prev: string,
): { readonly text: string; readonly hash: string } {
  const body = JSON.stringify({ account, seq, entry: packed, info, prev })
  const digest = hash('sha256', body)
  return { text: `${body.slice(0, -1)}${HASH_START}${digest}"}\n`, hash: digest }
}

/** `bytes` without the line break. Throws BrokenLine where it is not, to the byte, what writeLine writes. */
export function readLine(bytes: Buffer): Line {
  const at = bytes.length - TAIL_BYTES
  const tail = bytes.toString('latin1', Math.max(0, at))
  if (at <= 0 || !/^,"hash":"[0-9a-f]{64}"\}$/.test(tail)) throw new BrokenLine('does not end with its hash')
  const said = tail.slice(HASH_START.length, -2)
  const body = Buffer.concat([bytes.subarray(0, at), Buffer.from('}')])
  if (hash('sha256', body) !== said) throw new BrokenLine('is not what its hash says')
  const { account, seq, entry, info, prev } = parsed(body)
  return { account, seq, packed: entry, info, prev, hash: said }
}

interface Body {
  readonly account: string
  readonly seq: number
  readonly entry: string
  readonly info: string
  readonly prev: string
}

function parsed(bytes: Buffer): Body {
  const text = bytes.toString('utf8')
  try {
    const { account, seq, entry, info, prev } = JSON.parse(text) as Body
    if (JSON.stringify({ account, seq, entry, info, prev }) === text) return { account, seq, entry, info, prev }
  } catch {
    // Said below.
  }
  throw new BrokenLine('is no line of the books')
}

const SEQ = /^\{"account":"[^"]{1,128}","seq":(\d{1,16}),/

/** The sequence that a line begins with, read from its first bytes; undefined where there is none. */
export function seqOf(bytes: Buffer): number | undefined {
  const match = SEQ.exec(bytes.toString('latin1', 0, 180))
  return match ? Number(match[1]) : undefined
}
