/** MP4 and M4A: `moov.mvhd`, or `mehd` of a fragmented one. Source: ISO/IEC 14496-12, 8.2.2 and 8.8.2. */
const BOXES_MAX = 4096
const CONTAINERS = new Set(['moov', 'mvex'])

export function mp4Seconds(file: Buffer): number | undefined {
  const found = { timescale: 0, duration: 0 }
  readBoxes(file, 0, file.length, found, { left: BOXES_MAX })
  return found.timescale > 0 && found.duration > 0 ? found.duration / found.timescale : undefined
}

function readBoxes(
  file: Buffer,
  start: number,
  end: number,
  found: { timescale: number; duration: number },
  boxes: { left: number },
): void {
  let at = start
  while (at + 8 <= end && boxes.left-- > 0) {
    const type = file.toString('latin1', at + 4, at + 8)
    let size = file.readUInt32BE(at)
    let head = 8
    if (size === 1 && at + 16 <= end) {
      size = Number(file.readBigUInt64BE(at + 8))
      head = 16
    } else if (size === 0) size = end - at
    if (size < head) return
    const last = Math.min(at + size, end)
    if (CONTAINERS.has(type)) readBoxes(file, at + head, last, found, boxes)
    else if (type === 'mvhd') readMovieHeader(file.subarray(at + head, last), found)
    else if (type === 'mehd') found.duration = Math.max(found.duration, readDuration(file.subarray(at + head, last), 4))
    at += size
  }
}

function readMovieHeader(box: Buffer, found: { timescale: number; duration: number }): void {
  const scaleAt = box[0] === 1 ? 20 : 12
  if (box.length < scaleAt + 12) return
  found.timescale = box.readUInt32BE(scaleAt)
  found.duration = Math.max(found.duration, readDuration(box, scaleAt + 4))
}

/** 32 or 64 bits by the box's version; all ones: not known. */
function readDuration(box: Buffer, at: number): number {
  const wide = box[0] === 1
  if (box.length < at + (wide ? 8 : 4)) return 0
  const duration = wide ? Number(box.readBigUInt64BE(at)) : box.readUInt32BE(at)
  return duration === (wide ? 2 ** 64 : 0xffff_ffff) ? 0 : duration
}
