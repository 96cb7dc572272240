import { createHash, randomFillSync } from 'node:crypto'

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const random = Buffer.alloc(4096)
let offset = random.length

/**
 * A ULID: 26 characters that begin with the time, so that ids sort by it and an id that is too old can be told
 * without a look-up. Ids of calls, holds, grants and operations made by us have this form.
 */
export function newId(nowMs: number): string {
  if (offset + 16 > random.length) {
    // One system call for 256 ids: asking the kernel for each cost more than the rest of this function.
    randomFillSync(random)
    offset = 0
  }
  const id = idOf(nowMs, random, offset)
  offset += 16
  return id
}

/** An id of the same form that is the same for the same time and seed: what several processes make once between them. */
export function stableId(timeMs: number, seed: string): string {
  return idOf(timeMs, createHash('sha256').update(seed).digest(), 0)
}

function idOf(timeMs: number, bytes: Buffer, from: number): string {
  let id = ''
  let time = timeMs
  for (let i = 0; i < 10; i++) {
    id = ALPHABET[time % 32] + id
    time = Math.floor(time / 32)
  }
  for (let i = 0; i < 16; i++) id += ALPHABET[(bytes[from + i] as number) & 31]
  return id
}

/** The time in an id made by newId, or undefined for an id of another form. */
export function idTimeMs(id: string): number | undefined {
  if (!/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(id)) return undefined
  let time = 0
  for (let i = 0; i < 10; i++) time = time * 32 + ALPHABET.indexOf(id[i] as string)
  return time
}
