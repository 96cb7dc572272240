/** Names as lenient readers compare them. Up and down again: so that "ſtream" is "stream" and the Kelvin sign a "k", too. */
export function foldCase(name: string): string {
  return name.toUpperCase().toLowerCase()
}
