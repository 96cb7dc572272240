/** Amounts of the command line. */
import { CliError } from './cli-error.ts'

/** Throws CliError 2 for anything but a decimal amount; which it may be is for the gateway to say. */
export function needAmount(what: string, text: string): string {
  if (!/^-?\d+(\.\d+)?$/.test(text))
    throw new CliError(`${what}: "${text}" is not a decimal amount; write it like 10.50`, 2)
  return text
}

/** Throws CliError 2 for 0 and less too. */
export function needPositive(what: string, text: string): string {
  needAmount(what, text)
  if (text.startsWith('-') || !/[1-9]/.test(text)) throw new CliError(`${what}: "${text}" is not more than 0`, 2)
  return text
}
