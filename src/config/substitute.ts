export type Environment = Readonly<Record<string, string | undefined>>

const REFERENCE = /\$\{([^{}]*)\}/g
const INSIDE = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s

/**
 * Replaces `${NAME}` and `${NAME:-default}` (used where NAME is unset or empty) in one string value.
 *
 * What comes from the environment is not read again, so a value that holds `${…}` stays as it is.
 * `problem` says what is wrong with the first reference that cannot be replaced; `text` is then of no use.
 */
export function substitute(source: string, environment: Environment): { text: string; problem: string | undefined } {
  if (!source.includes('${')) return { text: source, problem: undefined }
  let problem: string | undefined
  const text = source.replace(REFERENCE, (_, inside: string) => {
    const match = INSIDE.exec(inside)
    if (!match) {
      // Not shown: what stands between the braces may be the secret itself.
      problem ??= `no name of a variable between \${ and }; write \${NAME} or \${NAME:-default}`
      return ''
    }
    const [, name = '', fallback] = match
    const value = Object.hasOwn(environment, name) ? environment[name] : undefined
    if (fallback !== undefined) return value === undefined || value === '' ? fallback : value
    if (value === undefined) problem ??= `the environment has no ${name}; set it, or write \${${name}:-default}`
    return value ?? ''
  })
  if (source.replace(REFERENCE, '').includes('${')) {
    problem ??= `a reference to the environment is not closed; write \${NAME} or \${NAME:-default}`
  }
  return { text, problem }
}
