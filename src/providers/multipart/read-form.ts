/** Reads a multipart/form-data body that is there whole; files stay where they are, as parts of the body's bytes. */
import { Busboy } from '@fastify/busboy'
import { type Form, type FormPart, InvalidCall } from '../provider.ts'
import { broken, findParts } from './find-parts.ts'

const BOUNDARY = /^multipart\/form-data[ \t]*;[ \t]*boundary=(?:"([^"\\\r\n]{1,70})"|([^\s";,\\]{1,70}))[ \t]*$/i
const BOUNDARY_CHARACTERS = /^[A-Za-z0-9'()+_,./:=? -]*[A-Za-z0-9'()+_,./:=?-]$/
/** What the APIs call their fields, `image[]` and `svg[model]` too. */
const NAME = /^[A-Za-z0-9_.-]{1,64}(?:\[[A-Za-z0-9_.-]{0,64}\]){0,4}$/

/** Whether a request says that its body is a form. */
export function isForm(contentType: string | undefined): boolean {
  return /^\s*multipart\//i.test(contentType ?? '')
}

/** Rejects with InvalidCall where the body is no form, or one that can be read in two ways. */
export async function readForm(body: Buffer, contentType: string): Promise<Form> {
  const match = BOUNDARY.exec(contentType.trim())
  const boundary = match?.[1] ?? match?.[2]
  if (boundary === undefined || !BOUNDARY_CHARACTERS.test(boundary))
    throw new InvalidCall(
      'Content-Type must be multipart/form-data with one boundary of at most 70 characters.',
      'content-type',
    )
  const spans = findParts(body, boundary)
  const heads = await readHeads(body, boundary)
  if (heads.length !== spans.length) throw broken('its parts cannot be told apart')
  return heads.map(({ name, filename }, index): FormPart => {
    const { contentStart, contentEnd } = spans[index] as (typeof spans)[number]
    if (!NAME.test(name)) throw new InvalidCall('A field of the form has a name that no field has; check the form.')
    return { name, filename, content: body.subarray(contentStart, contentEnd) }
  })
}

interface PartHead {
  readonly name: string
  readonly filename: string | undefined
}

/** Names and file names as busboy reads them; what the parts hold is not copied. */
function readHeads(body: Buffer, boundary: string): Promise<PartHead[]> {
  return new Promise((resolve, reject) => {
    const heads: PartHead[] = []
    const busboy = new Busboy({
      headers: { 'content-type': `multipart/form-data; boundary="${boundary}"` },
      preservePath: true,
      isPartAFile: (name, _type, filename) => {
        heads.push({ name: name ?? '', filename })
        return true
      },
    })
    busboy.on('file', (_name, file) => {
      file.on('error', () => {})
      file.resume()
    })
    busboy.on('error', () => reject(broken('it ends too early')))
    busboy.on('finish', () => resolve(heads))
    busboy.end(body)
  })
}
