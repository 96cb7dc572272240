/**
 * AWS Signature Version 4 as the other side checks it, written from AWS's description and sharing no code with what
 * signs. Source: docs.aws.amazon.com, "Create a signed AWS API request".
 */
import { createHash, createHmac } from 'node:crypto'

export interface SeenRequest {
  readonly method: string
  /** With the query, as it came. */
  readonly path: string
  /** [name, value, …] */
  readonly rawHeaders: readonly string[]
  readonly body: string | Buffer
}

export interface Verified {
  readonly valid: boolean
  readonly accessKeyId: string
  readonly region: string
  readonly service: string
  readonly signedNames: readonly string[]
}

/** Throws where the request has no signature. */
export function verifySignature(request: SeenRequest, secretAccessKey: string): Verified {
  const authorization = headerValues(request, 'authorization')[0] ?? ''
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/.exec(
      authorization,
    )
  if (!match) throw new Error(`not signed: ${authorization}`)
  const [, accessKeyId = '', day = '', region = '', service = '', names = '', signature = ''] = match
  const mark = request.path.indexOf('?')
  const path = mark < 0 ? request.path : request.path.slice(0, mark)
  const signedNames = names.split(';')
  const canonical = [
    request.method,
    path.split('/').map(encode).join('/'),
    canonicalQuery(mark < 0 ? '' : request.path.slice(mark + 1)),
    ...signedNames.map((name) => `${name}:${headerValues(request, name).map(trim).join(',')}`),
    '',
    names,
    createHash('sha256').update(request.body).digest('hex'),
  ].join('\n')
  const time = headerValues(request, 'x-amz-date')[0] ?? ''
  const scope = `${day}/${region}/${service}/aws4_request`
  const text = ['AWS4-HMAC-SHA256', time, scope, createHash('sha256').update(canonical).digest('hex')].join('\n')
  let key: string | Buffer = `AWS4${secretAccessKey}`
  for (const part of [day, region, service, 'aws4_request']) key = createHmac('sha256', key).update(part).digest()
  const own = createHmac('sha256', key).update(text).digest('hex')
  return { valid: own === signature && time.startsWith(day), accessKeyId, region, service, signedNames }
}

export function headerValues(request: SeenRequest, name: string): string[] {
  const values: string[] = []
  for (let i = 0; i < request.rawHeaders.length; i += 2)
    if ((request.rawHeaders[i] as string).toLowerCase() === name) values.push(request.rawHeaders[i + 1] as string)
  return values
}

function canonicalQuery(query: string): string {
  return query
    .split('&')
    .filter((part) => part !== '')
    .map((part) => {
      const [name = '', ...value] = part.split('=')
      return `${encode(decodeURIComponent(name))}=${encode(decodeURIComponent(value.join('=')))}`
    })
    .toSorted()
    .join('&')
}

/** RFC 3986: everything but letters, digits and -._~. */
function encode(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) =>
      /[A-Za-z0-9\-._~]/.test(String.fromCharCode(byte))
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('')
}

function trim(value: string): string {
  return value.trim().replaceAll(/ +/g, ' ')
}
