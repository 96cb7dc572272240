/**
 * One line of a batch file, and one request inside a batch's body, as the call that it is.
 *
 *   OpenAI, Azure, Groq, Together, xAI   {custom_id, method, url, body}
 *   Mistral                              {custom_id, body}: the job names endpoint and model
 *   xAI, in a body                       {batch_request_id, batch_request: {chat_get_completion | responses: {…}}}
 *
 * Sources: openai-node src/resources/batches.ts, docs.mistral.ai "Batch", docs.x.ai "Batch API".
 */
import { memberBytes, readMember } from '../batch-call.ts'
import { idsInBody } from '../ids-in-body.ts'
import { type JsonBody, readJsonBody } from '../json-body.ts'
import { InvalidCall, type Operation, type OperationMatch, type ReadBatchLine } from '../provider.ts'
import { splice } from '../splice.ts'

/** Stands for the model of a line that names none. */
const NO_MODEL = 'batch'

export type PathMatcher = (path: string) => OperationMatch | undefined

/** Throws InvalidCall. */
export function readOpenAILine(line: Buffer, jsonDepth: number, match: PathMatcher): ReadBatchLine {
  const fields = readJsonBody(line, jsonDepth)
  const { url } = fields.value
  const body = readMember(line, fields, 'body', jsonDepth)
  const operation = typeof url === 'string' ? operationOf(url, match) : guessed(body, match)
  return readAs(operation, body, typeof url === 'string' ? url : '', jsonDepth)
}

const XAI_KINDS: Readonly<Record<string, string>> = {
  chat_get_completion: '/v1/chat/completions',
  responses: '/v1/responses',
}

/** Throws InvalidCall. */
export function readXaiRequest(element: Buffer, jsonDepth: number, match: PathMatcher): ReadBatchLine {
  const fields = readJsonBody(element, jsonDepth)
  const request = readMember(element, fields, 'batch_request', jsonDepth)
  const kinds = [...request.members.keys()]
  const kind = kinds[0] ?? ''
  const path = XAI_KINDS[kind]
  if (kinds.length !== 1 || path === undefined)
    throw new InvalidCall(
      `"batch_request" must hold one of ${Object.keys(XAI_KINDS).join(', ')}; other kinds are not metered here.`,
      'batch_request',
    )
  const body = {
    ...readJsonBody(memberBytes(request.raw, request, kind), jsonDepth),
    raw: memberBytes(request.raw, request, kind),
  }
  return readAs(operationOf(path, match), body, path, jsonDepth)
}

function operationOf(url: string, match: PathMatcher): Operation {
  const operation = url.startsWith('/') ? match(url)?.operation : undefined
  if (operation === undefined || operation.batch || operation.kind === 'unmetered')
    throw new InvalidCall(`"url" ${JSON.stringify(url.slice(0, 100))} is no endpoint that is metered here.`, 'url')
  return operation
}

/** The endpoint stands with the job; the body's shape tells which it must be. */
function guessed(body: JsonBody, match: PathMatcher): Operation {
  const path = body.members.has('messages')
    ? '/v1/chat/completions'
    : body.members.has('prompt')
      ? '/v1/completions'
      : '/v1/embeddings'
  return operationOf(path, match)
}

function readAs(
  operation: Operation,
  body: JsonBody & { readonly raw: Buffer },
  path: string,
  jsonDepth: number,
): ReadBatchLine {
  const { endpoint, metering } = operation
  if (operation.kind === 'free' || metering === undefined) return { endpoint, model: '', call: undefined, objects: [] }
  const named = body.value['model'] !== undefined && body.value['model'] !== null
  const raw = named
    ? body.raw
    : splice(body.raw, [
        { from: body.insertAt, to: body.insertAt, text: `"model":"${NO_MODEL}"${body.members.size > 0 ? ',' : ''}` },
      ])
  // A null stands where the model would: it goes, or the name stood there twice.
  if (!named && body.members.has('model')) throw new InvalidCall('"model" is null; name it or leave it out.', 'model')
  const call = metering.readCall(raw, { path, query: '', headers: {}, jsonDepth })
  if (call.otherModels) throw new InvalidCall('One model answers each line of a batch; leave the others out.', 'models')
  if (call.beside)
    throw new InvalidCall(`The tool that runs "${call.beside.model}" is not metered in a batch; leave it out.`, 'tools')
  return { endpoint, model: named ? call.model : '', call, objects: idsInBody(body.value) }
}
