/** Width and height of a picture, from the first bytes of its file. */

export interface ImageSize {
  readonly width: number
  readonly height: number
}

/** Frames of a JPEG stand behind its metadata, which may be long. */
const HEAD_CHARACTERS = 256 * 1024
const SMALL_HEAD_CHARACTERS = 64

/** undefined where the bytes are no PNG, GIF, WebP or JPEG, or do not say. */
export function imageSize(base64: string): ImageSize | undefined {
  const head = Buffer.from(base64.slice(0, SMALL_HEAD_CHARACTERS), 'base64')
  if (head.length < 30) return undefined
  const size = pngSize(head) ?? gifSize(head) ?? webpSize(head) ?? jpegSize(head, base64)
  return size && size.width > 0 && size.height > 0 ? size : undefined
}

/** Source: w3.org/TR/png-3, 11.2.1 IHDR. */
function pngSize(head: Buffer): ImageSize | undefined {
  if (head.readUInt32BE(0) !== 0x89504e47) return undefined
  return { width: head.readUInt32BE(16), height: head.readUInt32BE(20) }
}

/** Source: w3.org/Graphics/GIF/spec-gif89a.txt, 18 Logical Screen Descriptor. */
function gifSize(head: Buffer): ImageSize | undefined {
  if (head.toString('latin1', 0, 4) !== 'GIF8') return undefined
  return { width: head.readUInt16LE(6), height: head.readUInt16LE(8) }
}

/** Source: developers.google.com/speed/webp/docs/riff_container. */
function webpSize(head: Buffer): ImageSize | undefined {
  if (head.toString('latin1', 8, 12) !== 'WEBP') return undefined
  switch (head.toString('latin1', 12, 16)) {
    case 'VP8X':
      return { width: 1 + head.readUIntLE(24, 3), height: 1 + head.readUIntLE(27, 3) }
    case 'VP8 ':
      return { width: head.readUInt16LE(26) & 0x3fff, height: head.readUInt16LE(28) & 0x3fff }
    case 'VP8L': {
      const bits = head.readUInt32LE(21)
      return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff) }
    }
    default:
      return undefined
  }
}

/** Source: ITU-T T.81, B.2.2 Frame header. */
function jpegSize(head: Buffer, base64: string): ImageSize | undefined {
  if (head.readUInt16BE(0) !== 0xffd8) return undefined
  const bytes = Buffer.from(base64.slice(0, HEAD_CHARACTERS), 'base64')
  let at = 2
  while (at + 9 < bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1] as number
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
    if (isFrame) return { height: bytes.readUInt16BE(at + 5), width: bytes.readUInt16BE(at + 7) }
    at += marker === 0xff ? 1 : 2 + bytes.readUInt16BE(at + 2)
  }
  return undefined
}
