import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isForm, readForm } from '../../../src/providers/multipart/read-form.ts'
import { InvalidCall } from '../../../src/providers/provider.ts'

const SEED = 20261126
const TYPE = 'multipart/form-data; boundary=xyz'

function part(name: string, content: string, more = ''): string {
  return `--xyz\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${content}\r\n`
}

async function read(body: string | Buffer, type = TYPE): Promise<string[]> {
  const form = await readForm(Buffer.from(body as string), type)
  return form.map(({ name, filename, content }) => `${name}${filename === undefined ? '' : `<${filename}>`}=${content}`)
}

describe('a form is read as official clients write it', () => {
  test.each([
    ['fields', `${part('model', 'a')}${part('n', '2')}--xyz--\r\n`, ['model=a', 'n=2']],
    ['no line end behind the last boundary', `${part('model', 'a')}--xyz--`, ['model=a']],
    ['a file', `${part('file', 'ID3\r\n\r\n', '; filename="a b.mp3"')}--xyz--\r\n`, ['file<a b.mp3>=ID3\r\n\r\n']],
    ['an empty field', `${part('prompt', '')}--xyz--\r\n`, ['prompt=']],
    ['a list', `${part('image[]', '1')}${part('image[]', '2')}--xyz--\r\n`, ['image[]=1', 'image[]=2']],
    ['a line end first', `\r\n${part('model', 'a')}--xyz--\r\n`, ['model=a']],
    [
      'types and encodings of parts (.NET, Java)',
      `--xyz\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=model\r\nContent-Transfer-Encoding: 8bit\r\n\r\na\r\n--xyz--\r\n`,
      ['model=a'],
    ],
    ['content that looks like a boundary', `${part('prompt', '--xy z\r\n--')}--xyz--\r\n`, ['prompt=--xy z\r\n--']],
    ['no parts', '--xyz--\r\n', []],
  ])('%s', async (_name, body, expected) => {
    expect(await read(body)).toEqual(expected)
  })

  test('the boundary may be quoted', async () => {
    expect(await read(`${part('model', 'a')}--xyz--\r\n`, 'multipart/form-data; boundary="xyz"')).toEqual(['model=a'])
  })

  test('a file of many megabytes is not copied', async () => {
    const content = Buffer.alloc(20 * 1024 * 1024, 7)
    const body = Buffer.concat([
      Buffer.from('--xyz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'),
      content,
      Buffer.from('\r\n--xyz--\r\n'),
    ])
    const [file] = await readForm(body, TYPE)
    expect(file?.content.length).toBe(content.length)
    expect(file?.content.buffer).toBe(body.buffer)
  })
})

describe('a form that two servers could read in two ways is refused', () => {
  const last = '--xyz--\r\n'
  test.each([
    ['another boundary', part('model', 'a').replaceAll('xyz', 'abc') + last],
    ['text before the first boundary', `hello\r\n${part('model', 'a')}${last}`],
    ['text behind the last one', `${part('model', 'a')}${last}more`],
    ['a part behind the last one', `${part('model', 'a')}${last}${part('model', 'b')}${last}`],
    ['no last boundary', part('model', 'a')],
    [
      'a boundary inside a file, after a bare line feed',
      `${part('file', `x\n${part('model', 'b')}y`, '; filename="a"')}${last}`,
    ],
    ['a boundary in the middle of a line', `${part('prompt', 'x--xyz')}${last}`],
    ['blanks behind a boundary', `--xyz \r\nContent-Disposition: form-data; name="model"\r\n\r\na\r\n${last}`],
    ['no header', `--xyz\r\n\r\na\r\n${last}`],
    ['a header line without a colon', `--xyz\r\nContent-Disposition form-data\r\n\r\na\r\n${last}`],
    ['a folded header', `--xyz\r\nContent-Disposition: form-data;\r\n name="model"\r\n\r\na\r\n${last}`],
    ['a bare line feed in a header', `--xyz\r\nContent-Disposition: form-data; name="a"\nX: y\r\n\r\na\r\n${last}`],
    [
      'two dispositions',
      `--xyz\r\nContent-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="model"\r\n\r\na\r\n${last}`,
    ],
    ['two names', `--xyz\r\nContent-Disposition: form-data; name="a"; name="model"\r\n\r\na\r\n${last}`],
    [
      'a name in two encodings',
      `--xyz\r\nContent-Disposition: form-data; name="a"; name*=utf-8''model\r\n\r\na\r\n${last}`,
    ],
    ['no name', `--xyz\r\nContent-Disposition: form-data\r\n\r\na\r\n${last}`],
    ['an attachment', `--xyz\r\nContent-Disposition: attachment; name="model"\r\n\r\na\r\n${last}`],
    ['an escaped quote', `--xyz\r\nContent-Disposition: form-data; name="a\\"; name="model"\r\n\r\na\r\n${last}`],
    [
      'base64',
      `--xyz\r\nContent-Disposition: form-data; name="model"\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==\r\n${last}`,
    ],
    ['a name with a blank', `${part('mo del', 'a')}${last}`],
    ['nothing', ''],
  ])('%s', async (_name, body) => {
    await expect(read(body)).rejects.toThrow(InvalidCall)
  })

  test.each([
    'multipart/form-data',
    'multipart/form-data; boundary=',
    'multipart/form-data; boundary=a; boundary=b',
    'multipart/form-data; boundary="a\\"b"',
    'multipart/mixed; boundary=xyz',
    `multipart/form-data; boundary=${'x'.repeat(71)}`,
  ])('content type %s', async (type) => {
    expect(isForm(type)).toBe(true)
    await expect(read(`${part('model', 'a')}--xyz--\r\n`, type)).rejects.toThrow('Content-Type must be')
  })

  test('more parts than any call needs', async () => {
    await expect(read(`${part('a', 'b').repeat(300)}--xyz--\r\n`)).rejects.toThrow('more than 256 parts')
  })
})

test(`whatever comes, a form is read or refused (seed ${SEED})`, async () => {
  const bits = [
    '--xyz',
    '--',
    '\r\n',
    '\n',
    'Content-Disposition: form-data; name="a"',
    '; filename="b"',
    'x',
    '\r\n\r\n',
    '"',
  ]
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...bits), { maxLength: 24 }), async (pieces) => {
      try {
        await readForm(Buffer.from(`--xyz\r\n${pieces.join('')}`), TYPE)
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidCall)
      }
    }),
    { seed: SEED, numRuns: 3000 },
  )
})

test(`what a form was made of comes back (seed ${SEED})`, async () => {
  const field = fc.record({
    name: fc.constantFrom('model', 'image[]', 'a.b'),
    content: fc.string().filter((text) => !text.includes('--xyz')),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(field, { maxLength: 6 }), async (fields) => {
      const body = `${fields.map(({ name, content }) => part(name, content)).join('')}--xyz--\r\n`
      expect(await read(body)).toEqual(fields.map(({ name, content }) => `${name}=${content}`))
    }),
    { seed: SEED, numRuns: 500 },
  )
})
