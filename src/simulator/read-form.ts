import type { IncomingMessage } from 'node:http'
import type { JsonObject } from './call.ts'

export function isForm(request: IncomingMessage): boolean {
  return request.headers['content-type']?.startsWith('multipart/form-data') ?? false
}

/** The fields of a form by name; a file is there as its bytes, a list as an array. Read by the platform's own parser. */
export async function readForm(request: IncomingMessage, body: Buffer): Promise<JsonObject> {
  const contentType = request.headers['content-type'] ?? ''
  const fields: Record<string, unknown> = {}
  try {
    const form = await new Response(new Uint8Array(body), { headers: { 'content-type': contentType } }).formData()
    for (const [name, value] of form) {
      const field = typeof value === 'string' ? value : Buffer.from(await value.arrayBuffer())
      const list = name.endsWith('[]') ? name.slice(0, -2) : undefined
      if (list === undefined) fields[name] = field
      else fields[list] = [...((fields[list] as unknown[] | undefined) ?? []), field]
    }
  } catch {
    return {}
  }
  return fields
}
