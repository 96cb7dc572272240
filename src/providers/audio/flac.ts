/** FLAC: samples by samples a second, in STREAMINFO. Source: RFC 9639 section 8.2. */
export function flacSeconds(file: Buffer): number | undefined {
  // "fLaC", a block header of 4 bytes, then 10 bytes of sizes before the rate.
  if (file.length < 26) return undefined
  const rate = file.readUIntBE(18, 3) >> 4
  const samples = (file.readUInt8(21) & 0x0f) * 2 ** 32 + file.readUInt32BE(22)
  return rate > 0 && samples > 0 ? samples / rate : undefined
}
