import type { Fault } from './controls.ts'

/** How a stream's text may differ from the usual and still be the same stream to any client. */
export function oddSteps(steps: Iterator<string>, faults: ReadonlySet<Fault>): Iterator<string> {
  const changes = CHANGES.filter(([fault]) => faults.has(fault)).map(([, change]) => change)
  if (changes.length === 0 && !faults.has('bom')) return steps
  return changed(steps, changes, faults.has('bom') ? '\uFEFF' : '')
}

const CHANGES: readonly (readonly [Fault, (text: string) => string])[] = [
  ['tight', (text) => text.replaceAll(/^data: /gm, 'data:')],
  ['comments', (text) => text.replaceAll(/^(?=(event|data):)/gm, (_, _field, at: number) => comment(text, at))],
  ['crlf', (text) => text.replaceAll('\n', '\r\n')],
]

/** Only between events: inside one, a blank line would end it. */
function comment(text: string, at: number): string {
  return at === 0 || text.slice(at - 2, at) === '\n\n' ? ': keep-alive\n\n' : ''
}

function* changed(
  steps: Iterator<string>,
  changes: readonly ((text: string) => string)[],
  first: string,
): Generator<string> {
  let before = first
  for (let step = steps.next(); !step.done; step = steps.next()) {
    yield before + changes.reduce((text, change) => change(text), step.value)
    before = ''
  }
}
