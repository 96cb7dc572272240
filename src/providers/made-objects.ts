/** Which objects an answer names for the first time: rules for the tables of object paths. */
import { isPlainId } from './object-id.ts'
import type { MadeObjects } from './provider.ts'

/** Ids in these members of the answer: `id`, or `file.id` inside another. Null and what is no id is left out. */
export function madeIn(...members: string[]): MadeObjects {
  return {
    members,
    read: (answer) => members.map((member) => answer[member]).filter(isPlainId),
  }
}

/** The same of Google's names, which have their collection (and project) before the id: `files/abc`. */
export function namedIn(...members: string[]): MadeObjects {
  return {
    members,
    read: (answer) =>
      members
        .map((member) => answer[member])
        .map((name) => (typeof name === 'string' ? name.slice(name.lastIndexOf('/') + 1) : undefined))
        .filter(isPlainId),
  }
}
