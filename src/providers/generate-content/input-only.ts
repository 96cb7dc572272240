import { PLAIN_CALL } from '../plain-call.ts'
import type { CallRequest } from '../provider.ts'
import type { PromptCounter } from './count-input.ts'

/** A call that generates nothing by the token: what was counted of its input is all there is. */
export function inputOnly(model: string, counter: PromptCounter): CallRequest {
  return {
    ...PLAIN_CALL,
    model,
    input: counter.estimate(),
    objects: [...counter.objects],
    unseenInput: counter.unseen,
    parsed: undefined,
  }
}
