/**
 * NDJSON and its relatives: each line is one JSON text, and its data is the line without its end.
 * Sources: github.com/ndjson/ndjson-spec; docs.ollama.com, "Streaming"; Cohere's v1 API (application/stream+json).
 */
import type { StreamEvent } from '../providers/provider.ts'
import { isBlank } from './json-blank.ts'
import { isJson, Splitter } from './splitter.ts'

const LF = 0x0a
const LINE_FEED = Buffer.from('\n')

export class LineSplitter extends Splitter {
  override reject(): void {}

  override readUnfinished(bytes: Buffer): StreamEvent | undefined {
    return this.read(bytes, 0, bytes.length) ? this.event : undefined
  }

  override closeUnfinished(bytes: Buffer): readonly Buffer[] | undefined {
    return this.readUnfinished(bytes) && !isJson(this.event.data) ? undefined : [bytes, LINE_FEED]
  }

  override placeEnding(ending: Buffer): Buffer {
    return this.passing || this.endsOpen ? Buffer.concat([LINE_FEED, ending]) : ending
  }

  protected override find(): boolean {
    const end = this.chunk.indexOf(LF, this.at)
    this.at = end < 0 ? this.chunk.length : end + 1
    return end >= 0
  }

  protected override read(bytes: Buffer, from: number, to: number): boolean {
    this.event.fill(bytes, from, to)
    let start = from
    let end = to
    if (this.first && bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf) start += 3
    while (end > start && isBlank(bytes[end - 1] as number)) end--
    while (start < end && isBlank(bytes[start] as number)) start++
    this.event.data = bytes.subarray(start, end)
    return end > start
  }
}
