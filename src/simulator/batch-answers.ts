import type { Call, JsonObject, JsonReply } from './call.ts'
import { defaultControls, takeFromModel, takeFromText } from './controls.ts'
import { seedOf } from './kept-objects.ts'
import { ProviderError } from './provider-errors.ts'
import { hashText } from './random.ts'

/** Answers one line of a batch as the endpoint would, with the controls in its model and prompt. Throws ProviderError. */
export function answerLine(
  call: Call,
  number: number,
  body: JsonObject,
  prompt: string,
  answer: (call: Call) => unknown,
): JsonObject {
  const controls = defaultControls()
  takeFromText(controls, prompt)
  const model = takeFromModel(controls, String(body['model'] ?? call.model))
  if (controls.faults.has('error_before')) throw new ProviderError(controls.status, 'The server had an error.')
  const reply = answer({
    ...call,
    body: { ...body, model },
    model,
    controls,
    seed: hashText(prompt, hashText(model, call.seed)),
    idSeed: seedOf(call, number),
  }) as JsonReply
  return JSON.parse(String(reply.body)) as JsonObject
}

/** Whether a line of this number fails under `partial_failures`: every second one. */
export function fails(call: Call, number: number): boolean {
  return call.controls.faults.has('partial_failures') && number % 2 === 1
}

/** Each result twice where the oddity is asked for. */
export function repeated<Result>(call: Call, results: readonly Result[]): Result[] {
  return call.controls.faults.has('duplicate_results') ? results.flatMap((result) => [result, result]) : [...results]
}
