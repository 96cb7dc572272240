/**
 * WebM and Matroska: `Segment.Info.Duration`; recorders of browsers leave it out, there it is the time of the last block.
 * Source: RFC 9559 sections 5.1.2 and 5.1.3; RFC 8794 (EBML).
 */
const SEGMENT = 0x18538067
const INFO = 0x1549a966
const TIMESTAMP_SCALE = 0x2ad7b1
const DURATION = 0x4489
const CLUSTER = Buffer.from([0x1f, 0x43, 0xb6, 0x75])
const TIMESTAMP = 0xe7
const SIMPLE_BLOCK = 0xa3
const BLOCK_GROUP = 0xa0
const BLOCK = 0xa1
const DEFAULT_SCALE = 1_000_000
const ELEMENTS_MAX = 100_000

export function webmSeconds(file: Buffer): number | undefined {
  const info = { scale: DEFAULT_SCALE, duration: 0 }
  walk(file, 0, file.length, (id, start, end) => {
    if (id === SEGMENT || id === INFO) return 'into'
    if (id === TIMESTAMP_SCALE) info.scale = readUint(file, start, end)
    else if (id === DURATION) info.duration = end - start === 8 ? file.readDoubleBE(start) : file.readFloatBE(start)
    return id === 0x1f43b675 ? 'stop' : 'over'
  })
  const ticks = info.duration > 0 ? info.duration : lastBlock(file)
  return ticks > 0 && info.scale > 0 ? (ticks * info.scale) / 1e9 : undefined
}

/** Ticks of the last block: of its cluster, and within it. */
function lastBlock(file: Buffer): number {
  const at = file.lastIndexOf(CLUSTER)
  if (at < 0) return 0
  const size = readSize(file, at + 4)
  if (!size) return 0
  let cluster = 0
  let last = 0
  walk(file, size.next, file.length, (id, start, end) => {
    if (id === TIMESTAMP) cluster = readUint(file, start, end)
    else if (id === BLOCK_GROUP) return 'into'
    else if (id === SIMPLE_BLOCK || id === BLOCK) {
      const track = readSize(file, start)
      if (track && track.next + 2 <= end) last = Math.max(last, file.readInt16BE(track.next))
    }
    return 'over'
  })
  return cluster + last
}

type Visit = (id: number, start: number, end: number) => 'into' | 'over' | 'stop'

function walk(file: Buffer, from: number, to: number, visit: Visit): void {
  let at = from
  for (let elements = 0; at < to && elements < ELEMENTS_MAX; elements++) {
    const id = readId(file, at)
    const size = id && readSize(file, id.next)
    if (!id || !size) return
    const end = size.value === undefined ? to : Math.min(size.next + size.value, to)
    const step = visit(id.value, size.next, end)
    if (step === 'stop') return
    at = step === 'into' ? size.next : end
  }
}

function readId(file: Buffer, at: number): { readonly value: number; readonly next: number } | undefined {
  const length = Math.clz32(file[at] ?? 0) - 23
  if (length > 4 || at + length > file.length) return undefined
  return { value: file.readUIntBE(at, length), next: at + length }
}

/** `value` undefined: not known, as it is while something is still recorded. */
function readSize(file: Buffer, at: number): { readonly value: number | undefined; readonly next: number } | undefined {
  const length = Math.clz32(file[at] ?? 0) - 23
  if (length > 8 || at + length > file.length) return undefined
  let value = (file[at] as number) & (0xff >> length)
  let unknown = value === 0xff >> length
  for (let i = 1; i < length; i++) {
    const byte = file[at + i] as number
    value = value * 256 + byte
    if (byte !== 0xff) unknown = false
  }
  return { value: unknown ? undefined : value, next: at + length }
}

function readUint(file: Buffer, start: number, end: number): number {
  const length = Math.min(end - start, 6)
  return length > 0 ? file.readUIntBE(start, length) : 0
}
