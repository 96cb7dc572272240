/** A form as the official clients send it, for tests below HTTP. */

import { readForm } from '../../src/providers/multipart/read-form.ts'
import type { CallSource, Form } from '../../src/providers/provider.ts'
import { SOURCE } from './call-source.ts'

const BOUNDARY = 'test-boundary'
export const FORM_TYPE = `multipart/form-data; boundary=${BOUNDARY}`

/** [name, value, file name] each. */
export type Field = readonly [name: string, value: string | Buffer, filename?: string]

export function formBody(fields: readonly Field[]): Buffer {
  const parts = fields.flatMap(([name, value, filename]) => [
    Buffer.from(
      `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"\r\nContent-Type: application/octet-stream`}\r\n\r\n`,
    ),
    Buffer.from(value as string),
    Buffer.from('\r\n'),
  ])
  return Buffer.concat([...parts, Buffer.from(`--${BOUNDARY}--\r\n`)])
}

export async function formSource(body: Buffer): Promise<CallSource> {
  const form: Form = await readForm(body, FORM_TYPE)
  return { ...SOURCE, headers: { 'content-type': FORM_TYPE }, form }
}
