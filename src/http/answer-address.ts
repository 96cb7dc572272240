/**
 * An address in an answer that a client dials as it stands (where an Anthropic batch has its results): it would lead past
 * the gateway, with the gateway's key. It is replaced by the same object's address here.
 */
import { readJsonBody } from '../providers/json-body.ts'
import { InvalidCall } from '../providers/provider.ts'
import type { AnswerEdit } from '../proxy/edited-answer.ts'
import type { CallerAddress } from './upload-address.ts'

/** An answer that names an address is an object's description: much smaller. */
const BYTES_MAX = 1 << 20

/** `path`: of the object, as the caller asked for it. */
export function editAddress(
  [member, ending]: readonly [member: string, ending: string],
  path: string,
  caller: CallerAddress,
  jsonDepth: number,
): AnswerEdit {
  return {
    bytesMax: BYTES_MAX,
    edit: (body) => {
      try {
        const { value, members } = readJsonBody(body, jsonDepth)
        const address = value[member]
        const span = members.get(member)
        if (span === undefined || typeof address !== 'string' || !address.endsWith(path + ending)) return body
        const here = Buffer.from(JSON.stringify(caller.base + path + ending))
        return Buffer.concat([body.subarray(0, span.valueStart), here, body.subarray(span.valueEnd)])
      } catch (error) {
        // No JSON as we read it: it passes as it is.
        if (error instanceof InvalidCall) return body
        throw error
      }
    },
  }
}
