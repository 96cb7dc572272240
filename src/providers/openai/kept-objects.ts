/** What the provider keeps of a response, and later calls may name: the response, its items, the containers of its tools. */
import type { AnswerFacts, CallRequest } from '../provider.ts'
import { asArray, asObject } from '../read-fields.ts'
import type { OpenAIParsed } from './openai-call.ts'

/** Each item's id, and the container that a code interpreter ran in. */
export function idsOfItems(output: unknown): string[] {
  return asArray(output)
    .flatMap((value) => {
      const item = asObject(value)
      return [item?.['id'], item?.['container_id']]
    })
    .filter((id): id is string => typeof id === 'string' && id !== '')
}

export function keptObjects(
  call: CallRequest,
  id: string | undefined,
  items: readonly string[],
): Pick<AnswerFacts, 'storedId' | 'objectIds' | 'carrierId'> {
  const { stored, conversation } = call.parsed as OpenAIParsed
  const carrier = conversation === undefined ? {} : { carrierId: conversation }
  // In a conversation the items are kept whatever `store` says.
  const kept = (stored || conversation !== undefined) && items.length > 0 ? { objectIds: items } : {}
  return { storedId: stored ? id : undefined, ...kept, ...carrier }
}
