import { deflateSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { InputCounter } from '../../../src/providers/input-counter.ts'
import { pdfPages } from '../../../src/providers/media/pdf-pages.ts'
import { claudeImageTokens, claudeMedia } from '../../../src/providers/messages/media-cost.ts'
import { openAIImageTokens, openAIMedia } from '../../../src/providers/openai/media-cost.ts'

const size = (width: number, height: number) => ({ width, height })

describe('images of OpenAI models, by the documents', () => {
  test.each<[string, string | undefined, [number, number] | undefined, number]>([
    // Of the guide: 1024 × 1024 is 4 tiles, 2048 × 4096 is 6, low is the base.
    ['gpt-4o', 'high', [1024, 1024], 85 + 4 * 170],
    ['gpt-4o', 'high', [2048, 4096], 85 + 6 * 170],
    ['gpt-4o', undefined, [4096, 8192], 85 + 6 * 170],
    ['gpt-4o', 'low', [4096, 8192], 85],
    ['gpt-4o', undefined, undefined, 85 + 8 * 170],
    ['gpt-4o-mini-2024-07-18', undefined, [100, 100], 2833 + 5667],
    ['gpt-4o-mini', 'low', undefined, 2833],
    ['o3', 'high', [1024, 1024], 75 + 4 * 150],
    ['gpt-4.1-mini', undefined, [1024, 1024], Math.ceil(1024 * 1.62)],
    ['gpt-4.1-nano', undefined, [4000, 4000], Math.ceil(1536 * 2.46)],
    ['o4-mini', undefined, undefined, Math.ceil(1536 * 1.72)],
    ['gpt-5.4-mini', 'high', [1920, 1080], Math.ceil(1536 * 1.62)],
    // The dearer of both rules.
    ['gpt-5', undefined, [1024, 1024], Math.ceil(1024 * 1.2)],
    ['openai/gpt-4.1', undefined, [100, 100], 85 + 170],
    ['gpt-5.4', 'high', [6000, 6000], 3000],
    ['gpt-5.4', undefined, undefined, 3000],
    ['gpt-5.4', 'original', [6000, 6000], 12_000],
    ['gpt-5.5', undefined, [6000, 6000], 12_000],
    // No budget: as many patches as the image has.
    ['gpt-5.6', undefined, [6000, 6000], Math.ceil(188 * 188 * 1.2)],
    ['gpt-5.6', 'high', [6000, 6000], 3000],
    ['gpt-5.6', undefined, undefined, 18_750],
    // Of other makers.
    ['meta-llama/Llama-3.2-90B-Vision', 'low', undefined, 6500],
    ['pixtral-12b', undefined, [1024, 1024], 4096],
    ['prod-chat', undefined, [100, 100], 1700],
  ])('%s, detail %s, %j: %d', (model, detail, pixels, tokens) => {
    expect(openAIImageTokens(model, detail, pixels && size(...pixels))).toBe(tokens)
  })

  test('a size never makes an image dearer than none', () => {
    const models = ['gpt-4o', 'gpt-4o-mini', 'gpt-4.1', 'gpt-5', 'gpt-5-nano', 'gpt-5.4', 'gpt-5.5', 'o1', 'qwen-vl']
    for (const model of models)
      for (const detail of [undefined, 'low', 'high', 'original'])
        for (let side = 1; side <= 16_384; side *= 4)
          for (const shape of [size(side, side), size(side, 10), size(9, side)])
            expect(openAIImageTokens(model, detail, shape)).toBeLessThanOrEqual(openAIImageTokens(model, detail))
  })
})

test.each<[string, [number, number] | undefined, number]>([
  ['claude-sonnet-4-5', undefined, 1600],
  ['claude-sonnet-4-5', [8000, 8000], 1600],
  ['claude-sonnet-4-5', [200, 200], 64 + 8],
  ['claude-sonnet-4-5', [1000, 1000], 1334 + 8],
  ['claude-opus-4-7', [2000, 2000], 4784],
  ['claude-opus-4-7', [1000, 1000], 1334 + 8],
  ['claude-next', undefined, 4784],
])('an image for %s of %j is %d tokens at the most', (model, pixels, tokens) => {
  expect(claudeImageTokens(model, pixels && size(...pixels))).toBe(tokens)
})

describe('pages of a PDF', () => {
  const pdf = (text: string) => Buffer.from(`%PDF-1.7\n${text}`).toString('base64')
  const page = (i: number) => `${i} 0 obj << /Type /Page /Parent 1 0 R >> endobj\n`
  const tree = (count: number) => `1 0 obj << /Type /Pages /Kids [] /Count ${count} >> endobj\n`

  test.each<[string, string, number | undefined]>([
    ['its page objects', pdf(page(2) + page(3) + page(4)), 3],
    ['what its tree counts, where that is more', pdf(tree(12) + page(2)), 12],
    ['its page objects, where those are more', pdf(tree(1) + page(2) + page(3)), 2],
    ['names without blanks', pdf('<</Type/Page/X 1>><</Type/Page>>'), 2],
    ['no other names', pdf('/PageLayout /PageMode /Pages'), undefined],
    ['compressed objects with a count', pdf(`${tree(7)}/Type /ObjStm ${page(2)}`), 7],
    ['compressed objects without: it cannot be told', pdf(`/Type /ObjStm ${page(2)}`), undefined],
    ['a linearised file', pdf(`<< /Linearized 1 /L 999 /N 31 >> /ObjStm ${deflateSync('x').toString('latin1')}`), 31],
    ['a count of another object', pdf(`5 0 obj << /Count 99 >> endobj ${tree(2)}`), 2],
    ['no PDF', Buffer.from(page(2)).toString('base64'), undefined],
    ['nothing', '', undefined],
    ['at most a thousand', pdf(tree(999_999)), 1000],
  ])('%s', (_name, file, pages) => {
    expect(pdfPages(file)).toBe(pages)
  })

  test('a file too long to be looked through while others wait is not told', () => {
    expect(pdfPages(pdf(page(2)) + 'A'.repeat(9_000_000))).toBeUndefined()
  })
})

describe('media in a prompt', () => {
  const PNG = (width: number, height: number): string => {
    const head = Buffer.alloc(33)
    head.write('\x89PNG\r\n\x1a\n', 'latin1')
    head.writeUInt32BE(13, 8)
    head.write('IHDR', 12)
    head.writeUInt32BE(width, 16)
    head.writeUInt32BE(height, 20)
    return head.toString('base64')
  }
  const wav = (seconds: number): string => {
    const head = Buffer.alloc(44)
    head.write('RIFF', 0)
    head.writeUInt32LE(36 + seconds * 32_000, 4)
    head.write('WAVEfmt ', 8)
    head.writeUInt32LE(16, 16)
    head.writeUInt16LE(1, 20)
    head.writeUInt16LE(1, 22)
    head.writeUInt32LE(16_000, 24)
    head.writeUInt32LE(32_000, 28)
    head.writeUInt16LE(2, 32)
    head.write('data', 36)
    head.writeUInt32LE(seconds * 32_000, 40)
    return Buffer.concat([head, Buffer.alloc(seconds * 32_000)]).toString('base64')
  }
  const count = (media: ConstructorParameters<typeof InputCounter>[0], part: unknown) => {
    const counter = new InputCounter(media)
    counter.addContent([part])
    const { highTokens, text, parts } = counter.estimate()
    return { media: highTokens - (text?.tokens ?? 0), parts, unseen: counter.unseen }
  }
  const gpt = openAIMedia('gpt-4o')
  const onePage = Buffer.from('%PDF-1.4 << /Type /Page >>').toString('base64')

  test.each<[string, Parameters<typeof count>[0], unknown, number]>([
    [
      'an image in a data URL',
      gpt,
      { type: 'image_url', image_url: { url: `data:image/png;base64,${PNG(512, 400)}` } },
      255,
    ],
    [
      'detail low',
      gpt,
      { type: 'image_url', image_url: { url: `data:image/png;base64,${PNG(512, 400)}`, detail: 'low' } },
      85,
    ],
    [
      'an image as responses has it',
      gpt,
      { type: 'input_image', image_url: `data:image/png;base64,${PNG(512, 400)}` },
      255,
    ],
    ['an image at an address', gpt, { type: 'image_url', image_url: { url: 'https://example.com/x.png' } }, 1445],
    ['an image that is none', gpt, { type: 'image_url', image_url: { url: 'data:image/png;base64,????' } }, 1445],
    [
      'an image of Claude',
      claudeMedia('claude-sonnet-4-5'),
      { type: 'image', source: { type: 'base64', data: PNG(280, 28) } },
      19,
    ],
    [
      'an image by id',
      claudeMedia('claude-sonnet-4-5'),
      { type: 'image', source: { type: 'file', file_id: 'f' } },
      1600,
    ],
    [
      'a page',
      claudeMedia('claude-sonnet-4-5'),
      { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: onePage } },
      4600,
    ],
    [
      'a page as chat has it',
      gpt,
      { type: 'file', file: { file_data: `data:application/pdf;base64,${onePage}` } },
      4445,
    ],
    [
      'a page as responses has it',
      gpt,
      { type: 'input_file', file_data: `data:application/pdf;base64,${onePage}` },
      4445,
    ],
    ['text in base64', gpt, { type: 'input_file', file_data: 'data:text/plain;base64,aGVsbG8gdGhlcmU=' }, 12],
    ['two seconds of audio', gpt, { type: 'input_audio', input_audio: { data: wav(2), format: 'wav' } }, 62],
    [
      'two seconds for Voxtral',
      openAIMedia('voxtral-small'),
      { type: 'input_audio', input_audio: { data: wav(2), format: 'wav' } },
      400,
    ],
  ])('%s', (_name, media, part, tokens) => {
    expect(count(media, part)).toMatchObject({ media: tokens, unseen: false })
  })

  test.each<[string, unknown]>([
    ['a document by id', { type: 'input_file', file_id: 'file-1' }],
    ['a document at an address', { type: 'document', source: { type: 'url', url: 'https://example.com/x.pdf' } }],
    ['a file of another kind', { type: 'file', file: { file_data: 'data:application/zip;base64,UEsDBA==' } }],
    ['audio by id', { type: 'input_audio', input_audio: { id: 'audio-1' } }],
    ['a video', { type: 'video_url', video_url: { url: 'https://example.com/x.mp4' } }],
  ])('%s is not seen', (_name, part) => {
    expect(count(gpt, part)).toMatchObject({ media: 0, unseen: true })
  })

  test('audio and images are held at the rates of their kinds', () => {
    expect(count(gpt, { type: 'input_audio', input_audio: { data: wav(2), format: 'wav' } }).parts).toEqual({
      audio_input: 62,
    })
    expect(count(gpt, { type: 'image_url', image_url: { url: 'https://x' } }).parts).toEqual({ image_input: 1445 })
  })
})
